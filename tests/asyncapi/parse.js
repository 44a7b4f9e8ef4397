// Reads a list of AsyncAPI documents, each as a text, from standard input, and prints how AsyncAPI's own parser
// understands each of them, as JSON. It fetches nothing: no document has a reference to another one.
"use strict";

const fs = require("node:fs");
const { Parser } = require("@asyncapi/parser");

async function understood(parser, text) {
  const { document, diagnostics } = await parser.parse(text);
  const parts = document && {
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
  return { diagnostics: found, understood: parts || null };
}

async function main() {
  const parser = new Parser();
  const printed = [];
  for (const text of JSON.parse(fs.readFileSync(0, "utf8"))) {
    printed.push(await understood(parser, text));
  }
  process.stdout.write(JSON.stringify(printed));
}

main();
