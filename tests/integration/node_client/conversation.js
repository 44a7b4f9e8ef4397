// Says two things to the chat at the URL given, prints every answer as a line, and closes.
const WebSocket = require('ws');

const socket = new WebSocket(process.argv[2]);
let answers = 0;

socket.on('upgrade', response => console.log(response.headers['x-pode-signal-name']));
socket.on('open', () => {
    socket.send(JSON.stringify({message: 'hello from ws'}));
    socket.send(JSON.stringify({message: '[date]'}));
});
socket.on('message', (data, isBinary) => {
    console.log(isBinary ? 'binary' : data.toString());
    answers += 1;
    if (answers === 2) socket.close(1000, 'done');
});
socket.on('close', (code, reason) => {
    console.log(`closed ${code} ${reason}`);
});
