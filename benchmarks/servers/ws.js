// node's ws; send per client.
const http = require('http');
const { WebSocketServer } = require('ws');

const server = http.createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

function broadcast(text) {
  const payload = Buffer.from(text);
  for (const client of sockets.clients) if (client.readyState === 1) client.send(payload, { binary: false });
}

sockets.on('connection', (client) => {
  client.on('error', () => {});
  client.on('message', (data) => {
    const operation = JSON.parse(data.toString());
    if (operation.op === 'echo') client.send(JSON.stringify(operation));
    else if (operation.op === 'all') broadcast(JSON.stringify(operation));
    else
      for (let i = 0; i < operation.m; i++) {
        const empty = JSON.stringify({ op: 'burst', i, pad: '' }).length;
        broadcast(JSON.stringify({ op: 'burst', i, pad: 'x'.repeat(operation.size - empty) }));
      }
  });
});

server.listen(Number(process.env.PORT), '127.0.0.1', 4096);
