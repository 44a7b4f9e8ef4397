// Reads an AsyncAPI document from standard input and prints how AsyncAPI's own parser understands it, as JSON.
// It fetches nothing: the document has no reference to another one.
"use strict";

const fs = require("node:fs");
const { Parser } = require("@asyncapi/parser");

async function main() {
  const { document, diagnostics } = await new Parser().parse(fs.readFileSync(0, "utf8"));
  const understood = document && {
    servers: document.servers().all().map(server => server.url()),
    channels: Object.fromEntries(document.channels().all().map(channel => [channel.id(), channel.address()])),
    operations: document.operations().all().map(operation => [
      operation.id(),
      operation.action(),
      operation.messages().all().map(message => message.id()),
      operation.reply() ? operation.reply().messages().all().map(message => message.id()) : [],
    ]),
    schemas: Object.keys(document.components().json().schemas),
  };
  const found = diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path }));
  process.stdout.write(JSON.stringify({ diagnostics: found, understood: understood || null }));
}

main();
