// The official clients against a real `fireclaw mcp`: what they refuse, or do not find, fails the test.
//
// usage: conformance.mjs FIRECLAW [ARGUMENT...], in the folder where the clients are installed (tests/mcp/sdk).
import assert from "node:assert/strict";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.cwd(), "package.json"));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);

const [fireclaw, ...words] = process.argv.slice(2);
const connection = { command: fireclaw, args: [...words, "mcp"], env: { ...process.env }, stderr: "inherit" };

// One after the other; a failure ends the process with what went wrong.
async function run(name, test) {
  await test();
  console.log(`ok: ${name}`);
}

// What every client has to be able to do, whatever version it has agreed on.
async function useTools(client, { structured }) {
  const { tools } = await client.listTools();
  const names = new Set(tools.map((tool) => tool.name));
  for (const name of ["run_command", "create_machine", "write_file", "read_file", "fork_machine"]) {
    assert.ok(names.has(name), `${name} is not among ${[...names]}`);
  }
  // From here on the client holds results against the tools' output schemas.
  const use = async (name, args) => {
    const result = await client.callTool({ name, arguments: args });
    assert.notEqual(result.isError, true, JSON.stringify(result));
    const text = JSON.parse(result.content[0].text);
    if (structured) assert.deepEqual(result.structuredContent, text);
    return text;
  };

  assert.equal((await use("run_command", { command: "echo hello; exit 3" })).exit_code, 3);
  await use("create_machine", { name: "trunk" });
  await use("write_file", { machine: "trunk", path: "/work/file", content: "common" });
  const { machines } = await use("fork_machine", { machine: "trunk", names: ["branch"] });
  assert.equal(machines[0].name, "branch");
  await use("write_file", { machine: "branch", path: "/work/file", content: " and its own", append: true });
  assert.equal((await use("read_file", { machine: "branch", path: "/work/file" })).content, "common and its own");
  assert.equal((await use("read_file", { machine: "trunk", path: "/work/file" })).content, "common");
  const { entries } = await use("list_directory", { machine: "trunk", path: "/work" });
  assert.deepEqual(entries.map((entry) => entry.name), ["file"]);
  assert.equal((await use("list_machines", {})).machines.length, 2);
  await use("list_images", {});
  await use("list_snapshots", {});
  await use("read_console", { machine: "trunk" });

  const both = await Promise.all(
    ["trunk", "branch"].map((machine) => use("run_command", { machine, command: "hostname" })),
  );
  assert.deepEqual(both.map((result) => result.stdout), ["trunk\n", "branch\n"]);

  const failed = await client.callTool({ name: "remove_machine", arguments: { machine: "none" } });
  assert.equal(failed.isError, true);
  await use("remove_machine", { machine: "branch" });
}

async function progressAndCancellation(client, call) {
  const told = [];
  // A client forgets about progress once it has the answer, also about what has come in the same breath.
  const command = "echo one; usleep 500000; echo two; usleep 500000";
  await call(client, { name: "run_command", arguments: { machine: "trunk", command } }, {
    onprogress: (progress) => told.push(progress.message),
  });
  assert.equal(told.join(""), "one\ntwo\n");

  const stop = new AbortController();
  const running = call(client, { name: "run_command", arguments: { machine: "trunk", command: "echo up; sleep 1000" } }, {
    signal: stop.signal,
    onprogress: () => stop.abort("enough"),
  });
  await assert.rejects(running);
  const gone = await call(client, {
    name: "run_command",
    arguments: { machine: "trunk", command: "while pidof sleep > /dev/null; do usleep 50000; done" },
  });
  assert.equal(JSON.parse(gone.content[0].text).exit_code, 0);
}

async function refusals(client, call) {
  await assert.rejects(call(client, { name: "no_such_tool", arguments: {} }), (error) => error.code === -32602);
  const wrong = await call(client, { name: "run_command", arguments: { command: 5 } });
  assert.equal(wrong.isError, true);
  assert.match(wrong.content[0].text, /'command' must be a text/);
}

const info = { name: "conformance", version: "1" };
const unhandled = [];
const watch = (client) => {
  // What a client cannot read it only reports here.
  client.onerror = (error) => unhandled.push(error);
  return client;
};

{
  const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
  const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");
  const call = (client, params, options) => client.callTool(params, undefined, options);
  const client = watch(new Client(info, { capabilities: {} }));
  const messages = [];
  const { LoggingMessageNotificationSchema } = await load("@modelcontextprotocol/sdk/types.js");
  client.setNotificationHandler(LoggingMessageNotificationSchema, (message) => messages.push(message.params.data));
  await client.connect(new StdioClientTransport(connection));
  await run("v1: handshake and ping", async () => {
    assert.equal(client.getServerVersion().name, "fireclaw");
    assert.match(client.getInstructions(), /run_command/);
    await client.ping();
  });
  await run("v1: tools", () => useTools(client, { structured: true }));
  await run("v1: progress and cancellation", () => progressAndCancellation(client, call));
  await run("v1: refusals", () => refusals(client, call));
  await run("v1: log messages", async () => {
    await client.setLoggingLevel("warning");
    await client.callTool({ name: "create_machine", arguments: { image: "none" } });
    assert.ok(messages.some((text) => text.includes("'none'")), messages.join());
  });
  await client.close();
}

{
  const { Client } = await load("@modelcontextprotocol/client");
  const { StdioClientTransport } = await load("@modelcontextprotocol/client/stdio");
  const call = (client, params, options) => client.callTool(params, options);
  const modes = [
    ["handshake", "legacy", "2025-11-25"],
    ["probing", "auto", "2026-07-28"],
    ["stateless", { pin: "2026-07-28" }, "2026-07-28"],
  ];
  for (const [name, mode, version] of modes) {
    const client = watch(new Client(info, { capabilities: {}, versionNegotiation: { mode } }));
    await client.connect(new StdioClientTransport(connection));
    await run(`v2, ${name}: version`, async () => assert.equal(client.getNegotiatedProtocolVersion(), version));
    await run(`v2, ${name}: tools`, () => useTools(client, { structured: true }));
    await run(`v2, ${name}: progress and cancellation`, () => progressAndCancellation(client, call));
    await run(`v2, ${name}: refusals`, () => refusals(client, call));
    await client.close();
  }
}

assert.deepEqual(unhandled, []);
