// node's socket.io on WebSockets alone; one room of all.
const http = require('http');
const { Server } = require('socket.io');

const server = http.createServer();
const io = new Server(server, { transports: ['websocket'], perMessageDeflate: false });

io.on('connection', (client) => {
  client.join('all');
  client.on('m', (operation) => {
    if (operation.op === 'echo') client.emit('m', operation);
    else if (operation.op === 'all') io.to('all').emit('m', operation);
    else
      for (let i = 0; i < operation.m; i++) {
        const empty = JSON.stringify({ op: 'burst', i, pad: '' }).length;
        io.to('all').emit('m', { op: 'burst', i, pad: 'x'.repeat(operation.size - empty) });
      }
  });
});

server.listen(Number(process.env.PORT), '127.0.0.1', 4096);
