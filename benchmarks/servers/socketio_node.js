// node's socket.io as one of several nodes, with an adapter over Redis; WebSockets alone, one room of all.
// ADAPTER=streams is its Redis streams adapter, anything else the one over PUB/SUB.
const http = require('http');
const { Server } = require('socket.io');
const { createClient } = require('redis');

async function adapter() {
  const client = createClient({ url: process.env.REDIS });
  await client.connect();
  if (process.env.ADAPTER === 'streams') return require('@socket.io/redis-streams-adapter').createAdapter(client);
  const subscriber = client.duplicate();
  await subscriber.connect();
  return require('@socket.io/redis-adapter').createAdapter(client, subscriber);
}

adapter().then((shared) => {
  const server = http.createServer();
  const io = new Server(server, { adapter: shared, transports: ['websocket'], perMessageDeflate: false });

  io.on('connection', (client) => {
    client.join('all');
    client.on('m', (operation) => {
      if (operation.op === 'echo') client.emit('m', operation);
      else io.to('all').emit('m', operation);
    });
  });

  server.listen(Number(process.env.PORT), '127.0.0.1', 4096);
});
