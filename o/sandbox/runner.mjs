// Runs one call of a TypeScript tool inside the sandbox: one call in, one result document out, each on its own
// descriptor and preceded by its length. What the tool does to this process is its own loss: how the call ended is
// decided outside, from the process's end and from the one document that may be written.

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const LONGEST_MESSAGE = 1000;
const ALIAS = "__o_function__";

// References kept from before the tool runs.
const { O_CALL_FD: callNumber, O_RESULT_FD: resultNumber, ...environment } = process.env;
const callFd = Number(callNumber);
const resultFd = Number(resultNumber);
const { readSync, writeSync, closeSync, writeFileSync } = fs;
const { stringify } = JSON;
const leave = process.reallyExit.bind(process);
const toBytes = Buffer.from.bind(Buffer);

function readExactly(length) {
  const bytes = Buffer.alloc(length);
  let have = 0;
  while (have < length) {
    const count = readSync(callFd, bytes, have, length - have, null);
    if (count === 0) leave(0); // never needed
    have += count;
  }
  return bytes;
}

function readCall() {
  const body = readExactly(readExactly(4).readUInt32BE(0));
  closeSync(callFd);
  return JSON.parse(body.toString("utf8"));
}

let written = false;

function finish(document) {
  if (written) return;
  written = true;
  const body = toBytes(stringify(document));
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length, 0);
  let rest = Buffer.concat([head, body]);
  while (rest.length) rest = rest.subarray(writeSync(resultFd, rest));
  leave(0);
}

// Plain JSON, as far as the value has a natural form in it.
function plain(key, value) {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  return value;
}

function inWords(error) {
  try {
    if (error instanceof Error) {
      process.stderr.write(`${error.stack ?? error}\n`);
      const message = String(error.message).slice(0, LONGEST_MESSAGE);
      return message ? `${error.name}: ${message}` : String(error.name);
    }
    return `Error: ${String(error).slice(0, LONGEST_MESSAGE)}`;
  } catch {
    return "Error";
  }
}

const raised = (error) => finish({ outcome: "raised", error: inWords(error) });

async function load(call) {
  const file = path.join(process.cwd(), "tool.mts");
  const url = pathToFileURL(file).href;
  // Sources written for Node's older modules call it.
  globalThis.require = createRequire(file);
  if (call.function === null) {
    writeFileSync(file, call.source);
    await import(url);
    return null;
  }
  // A function need not be exported to be a tool: this names it, and is no error where it is exported too.
  writeFileSync(file, `${call.source}\nexport { ${call.function} as ${ALIAS} };\n`);
  try {
    return (await import(url))[ALIAS];
  } catch (error) {
    if (!(error instanceof SyntaxError) || !/Export .* is not defined in module/.test(error.message)) throw error;
  }
  // Nothing of it has run: it may still export another function under this name.
  writeFileSync(file, call.source);
  return (await import(`${url}?exports`))[call.function];
}

async function run(call) {
  const found = await load(call);
  if (call.function === null) return null;
  if (typeof found !== "function") throw new ReferenceError(`the source has no function '${call.function}'`);
  return await found(...call.positional.map((given) => (given.length ? given[0] : undefined)));
}

const call = readCall();
process.env = environment;
process.on("uncaughtException", raised);
process.on("unhandledRejection", raised);
process.on("beforeExit", () => raised(new Error("the promise it returned is never settled")));

run(call).then((value) => {
  let text;
  try {
    text = stringify(value, plain);
  } catch (error) {
    finish({ outcome: "bad_result", error: `the value is no JSON: ${String(error.message).slice(0, LONGEST_MESSAGE)}` });
    return;
  }
  finish({ outcome: "returned", value: text === undefined ? null : JSON.parse(text) });
}, raised);
