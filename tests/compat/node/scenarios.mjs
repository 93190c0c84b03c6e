// What an app does with openai-node, played against a URL: `node scenarios.mjs http://127.0.0.1:8700/v1 KEY`.
// Prints a line of JSON for each scenario. What the model says is named in the assistant's instructions (plays.py).

import assert from "node:assert/strict";

import OpenAI, { toFile } from "openai";
import { VERSION } from "openai/version";

const [baseURL, apiKey] = process.argv.slice(2);
const HELLO = "Hello there, how are you?";
const EVENTS = [
  "messageCreated", "messageDelta", "messageDone", "runStepCreated", "runStepDelta", "runStepDone",
  "toolCallCreated", "toolCallDelta", "toolCallDone", "textCreated", "textDelta", "textDone", "run", "end",
];
const tool = (name) => ({
  type: "function",
  function: { name, parameters: { type: "object", properties: { city: { type: "string" } } } },
});
const WEATHER = tool("get_weather");
const RAIN = tool("get_rain_probability");
const ask = (content) => ({ messages: [{ role: "user", content }] });

function actor(client, play, ...tools) {
  return client.beta.assistants.create({ model: "puppet", instructions: `play: ${play}`, tools });
}

// Everything that a stream tells, by handler; a run of the same ones counts once in `order`.
async function hear(stream) {
  const heard = { order: [], events: [], texts: [], calls: {}, textSnapshot: "", text: "" };
  for (const name of EVENTS) {
    stream.on(name, () => heard.order.at(-1) === name || heard.order.push(name));
  }
  stream.on("event", (event) => heard.events.push(event.event));
  stream.on("messageCreated", (message) => assert.deepEqual(message.content, []));
  stream.on("textDelta", (delta, snapshot) => {
    heard.text += delta.value ?? "";
    heard.textSnapshot = snapshot.value;
  });
  stream.on("textDone", (text) => heard.texts.push(text.value));
  stream.on("toolCallDone", (call) => (heard.calls[call.id] = [call.function.name, call.function.arguments]));
  heard.run = await stream.finalRun();
  heard.messages = await stream.finalMessages().catch(() => []);
  heard.steps = await stream.finalRunSteps();
  return heard;
}

const outputsFor = (run, output = "4 °C") =>
  run.required_action.submit_tool_outputs.tool_calls.map((call) => ({ tool_call_id: call.id, output }));
const textOf = (message) => message.content.map((part) => part.text.value).join("");
const refused = async (promise, kind) => {
  const error = await promise.then(() => assert.fail("it was not refused"), (error) => error);
  assert.ok(error instanceof kind, String(error));
  assert.match(error.requestID, /^req_/);
  assert.deepEqual(Object.keys(error.error).sort(), ["code", "message", "param", "type"]);
  return error;
};

const scenarios = {
  async handlers_hear_a_plain_answer(client) {
    const assistant = await actor(client, "hello");
    const thread = await client.beta.threads.create(ask("Hello"));
    const heard = await hear(client.beta.threads.runs.stream(thread.id, { assistant_id: assistant.id }));
    assert.deepEqual(heard.order.slice(0, 3), ["runStepCreated", "messageCreated", "textCreated"]);
    assert.deepEqual(heard.order.slice(-5), ["textDone", "messageDone", "runStepDone", "run", "end"].slice(-5));
    assert.equal(heard.text, HELLO);
    assert.equal(heard.textSnapshot, HELLO);
    assert.deepEqual(heard.texts, [HELLO]);
    assert.equal(heard.run.status, "completed");
    assert.deepEqual(heard.messages.map(textOf), [HELLO]);
    assert.deepEqual(heard.steps.map((step) => step.status), ["completed"]);
    assert.deepEqual(await client.beta.threads.runs.retrieve(heard.run.id, { thread_id: thread.id }), heard.run);
  },

  async a_stream_is_iterated(client) {
    const stream = await client.beta.threads.createAndRun({
      assistant_id: (await actor(client, "hello")).id, thread: ask("Hello"), stream: true,
    });
    const names = [];
    for await (const event of stream) names.push(event.event);
    assert.deepEqual(names.slice(0, 4), [
      "thread.created", "thread.run.created", "thread.run.queued", "thread.run.in_progress",
    ]);
    assert.equal(names.at(-1), "thread.run.completed");
  },

  async calls_are_heard_and_their_outputs_streamed(client) {
    const heard = await hear(client.beta.threads.createAndRunStream({
      assistant_id: (await actor(client, "two_calls", WEATHER, RAIN)).id, thread: ask("Weather?"),
    }));
    assert.equal(heard.run.status, "requires_action");
    assert.deepEqual(heard.calls, {
      call_weather_oslo: ["get_weather", '{"city": "Oslo", "unit": "c"}'],
      call_rain_oslo: ["get_rain_probability", '{"city": "Oslo"}'],
    });
    const after = await hear(client.beta.threads.runs.submitToolOutputsStream(heard.run.id, {
      thread_id: heard.run.thread_id, tool_outputs: outputsFor(heard.run),
    }));
    assert.equal(after.events[0], "thread.run.step.completed");
    assert.equal(after.text, "It is 4 °C, and it may rain.");
    assert.equal(after.run.status, "completed");
    assert.equal(after.run.usage.total_tokens, 19 + 49);
  },

  async arguments_are_put_together_from_pieces(client) {
    const heard = await hear(client.beta.threads.createAndRunStream({
      assistant_id: (await actor(client, "pieces", WEATHER)).id, thread: ask("Weather?"),
    }));
    assert.deepEqual(heard.calls, {
      call_a: ["get_weather", '{"city": "Oslo"}'],
      call_b: ["get_weather", '{"city": "Bergen"}'],
    });
    assert.deepEqual(outputsFor(heard.run).map((output) => output.tool_call_id), ["call_a", "call_b"]);
  },

  async words_beside_calls_do_not_break_the_stream(client) {
    for (const [play, before, after] of [
      ["words_and_call", ["Let me look."], ["It is 4 °C."]],
      ["call_and_words", [], ["I am looking it up.", "It is 4 °C."]],
    ]) {
      const heard = await hear(client.beta.threads.createAndRunStream({
        assistant_id: (await actor(client, play, WEATHER)).id, thread: ask("Weather?"),
      }));
      assert.deepEqual(heard.texts, before);
      const rest = await hear(client.beta.threads.runs.submitToolOutputsStream(heard.run.id, {
        thread_id: heard.run.thread_id, tool_outputs: outputsFor(heard.run),
      }));
      assert.deepEqual(rest.texts, after);
      assert.equal(rest.run.status, "completed");
    }
  },

  async the_servers_own_tools_show_in_the_stream(client) {
    const heard = await hear(client.beta.threads.createAndRunStream({
      assistant_id: (await actor(client, "own_tools", tool("add"))).id, thread: ask("Add."),
    }));
    assert.equal(heard.run.status, "completed");
    const [calls, message] = heard.steps;
    assert.deepEqual(calls.step_details.tool_calls.map((call) => call.function.output), ["5", "11"]);
    assert.equal(message.type, "message_creation");
    assert.deepEqual(heard.texts, ["5 and 11."]);
  },

  async the_servers_functions_and_the_callers_share_a_turn(client) {
    const heard = await hear(client.beta.threads.createAndRunStream({
      assistant_id: (await actor(client, "mixed", tool("add"), WEATHER)).id, thread: ask("Both."),
    }));
    assert.deepEqual(outputsFor(heard.run).map((output) => output.tool_call_id), ["call_weather_oslo"]);
    const rest = await hear(client.beta.threads.runs.submitToolOutputsStream(heard.run.id, {
      thread_id: heard.run.thread_id, tool_outputs: outputsFor(heard.run),
    }));
    assert.equal(rest.run.status, "completed");
  },

  async refusals_empty_answers_and_failures_are_heard(client) {
    const run = async (play) => hear(client.beta.threads.createAndRunStream({
      assistant_id: (await actor(client, play)).id, thread: ask("Hello"),
    }));
    const refusal = await run("refusal");
    assert.deepEqual(refusal.messages[0].content, [{ type: "refusal", refusal: "I will not do that." }]);
    assert.deepEqual((await run("empty")).messages.map(textOf), [""]);
    const cut = await run("cut");
    assert.equal(cut.run.incomplete_details.reason, "max_completion_tokens");
    const failed = await run("hang_up_in_mid_answer");
    assert.equal(failed.run.status, "failed");
    assert.equal(failed.run.last_error.code, "server_error");
  },

  async a_run_is_cancelled_in_the_middle_of_its_stream(client) {
    const thread = await client.beta.threads.create(ask("Think."));
    const stream = client.beta.threads.runs.stream(thread.id, { assistant_id: (await actor(client, "endless")).id });
    stream.on("textDelta", async (_, snapshot) => {
      if (snapshot.value === "I think ") {
        await client.beta.threads.runs.cancel(stream.currentRun().id, { thread_id: thread.id });
      }
    });
    const heard = await hear(stream);
    assert.equal(heard.run.status, "cancelled");
    assert.equal(heard.messages[0].incomplete_details.reason, "run_cancelled");
    await client.beta.threads.messages.create(thread.id, { role: "user", content: "Free again." });
  },

  async an_aborted_stream_leaves_the_run_alone(client) {
    const thread = await client.beta.threads.create(ask("Tell me."));
    const stream = client.beta.threads.runs.stream(thread.id, { assistant_id: (await actor(client, "hello")).id });
    let id;
    for await (const event of stream) {
      if (event.event === "thread.run.created") {
        id = event.data.id;
        break;
      }
    }
    const run = await client.beta.threads.runs.poll(id, { thread_id: thread.id });
    assert.equal(run.status, "completed");
  },

  async helpers_poll(client) {
    const began = Date.now();
    const thread = await client.beta.threads.create(ask("Hello"));
    const assistant = await actor(client, "hello");
    const run = await client.beta.threads.runs.createAndPoll(thread.id, { assistant_id: assistant.id });
    assert.equal(run.status, "completed");
    assert.ok(Date.now() - began < 3000);
    const asked = await client.beta.threads.createAndRunPoll({
      assistant_id: (await actor(client, "one_call", WEATHER)).id, thread: ask("Weather?"),
    });
    assert.equal(asked.status, "requires_action");
    const done = await client.beta.threads.runs.submitToolOutputsAndPoll(asked.id, {
      thread_id: asked.thread_id, tool_outputs: outputsFor(asked),
    });
    assert.equal(done.status, "completed");
    assert.equal(done.required_action, null);
  },

  async lists_are_paged_through_in_both_orders(client) {
    const messages = Array.from({ length: 23 }, (_, n) => ({ role: "user", content: String(n) }));
    const thread = await client.beta.threads.create({ messages });
    const read = async (query) => {
      const found = [];
      for await (const message of client.beta.threads.messages.list(thread.id, query)) found.push(textOf(message));
      return found;
    };
    const numbers = messages.map((message) => message.content);
    assert.deepEqual(await read({ order: "asc", limit: 5 }), numbers);
    assert.deepEqual(await read({ limit: 7 }), numbers.toReversed());
    const page = await client.beta.threads.messages.list(thread.id, { order: "asc" });
    assert.equal(page.data.length, 20);
    assert.equal(page.hasNextPage(), true);
    assert.equal((await page.getNextPage()).data.length, 3);
    const ids = page.data.map((message) => message.id);
    const before = await client.beta.threads.messages.list(thread.id, { order: "asc", limit: 3, before: ids[4] });
    assert.deepEqual(before.data.map(textOf), ["1", "2", "3"]);
  },

  async objects_are_created_changed_and_deleted(client) {
    const { assistants, threads } = client.beta;
    const assistant = await assistants.create({ model: "demo", name: "One", tools: [{ type: "file_search" }] });
    const changed = await assistants.update(assistant.id, { name: "Two", metadata: { a: "b" } });
    assert.deepEqual([changed.name, changed.metadata], ["Two", { a: "b" }]);
    assert.deepEqual(await assistants.retrieve(assistant.id), changed);
    assert.equal((await assistants.delete(assistant.id)).object, "assistant.deleted");
    const thread = await threads.create();
    const message = await threads.messages.create(thread.id, {
      role: "user",
      content: [{ type: "text", text: "Look" }, { type: "image_url", image_url: { url: "https://example.com/a.png" } }],
    });
    assert.equal((await threads.messages.update(message.id, { thread_id: thread.id, metadata: { k: "v" } })).metadata.k, "v");
    assert.equal((await threads.messages.delete(message.id, { thread_id: thread.id })).deleted, true);
    assert.equal((await threads.delete(thread.id)).object, "thread.deleted");
    const run = await threads.createAndRunPoll({ assistant_id: "asst_declared", thread: ask("Hello") });
    assert.equal((await threads.runs.update(run.id, { thread_id: run.thread_id, metadata: { x: "y" } })).metadata.x, "y");
    const [step] = (await threads.runs.steps.list(run.id, { thread_id: run.thread_id })).data;
    const where = { thread_id: run.thread_id, run_id: run.id };
    assert.deepEqual(await threads.runs.steps.retrieve(step.id, where), step);
  },

  async files_go_up_and_down(client) {
    const file = await client.files.create({
      file: await toFile(Buffer.from("some notes\n"), "notes.txt"), purpose: "assistants",
    });
    assert.deepEqual([file.filename, file.bytes, file.purpose], ["notes.txt", 11, "assistants"]);
    assert.equal(await (await client.files.content(file.id)).text(), "some notes\n");
    assert.equal((await client.files.delete(file.id)).deleted, true);
  },

  async code_is_heard_with_what_it_prints_draws_and_writes(client) {
    const file = await client.files.create({
      file: await toFile(Buffer.from("month,amount\njan,10\nfeb,20\nmar,30\n"), "sales.csv"), purpose: "assistants",
    });
    const attachments = [{ file_id: file.id, tools: [{ type: "code_interpreter" }] }];
    const stream = client.beta.threads.createAndRunStream({
      assistant_id: (await actor(client, "code", { type: "code_interpreter" })).id,
      thread: { messages: [{ role: "user", content: "Sum it up.", attachments }] },
    });
    const heard = { logs: "", images: [], calls: {} };
    stream.on("toolCallDelta", (delta) => {
      for (const output of delta.code_interpreter?.outputs ?? []) {
        if (output.type === "logs") heard.logs += output.logs;
      }
    });
    stream.on("toolCallDone", (call) => (heard.calls[call.id] = call));
    stream.on("imageFileDone", (image) => heard.images.push(image.file_id));
    const [message] = await stream.finalMessages();
    const [step] = await stream.finalRunSteps();
    const [call] = step.step_details.tool_calls;
    assert.equal(heard.logs, "rows: 3\n");
    assert.equal(call.code_interpreter.input, heard.calls.call_code.code_interpreter.input);
    const [logs, image] = call.code_interpreter.outputs;
    assert.deepEqual([logs.logs, image.type], ["rows: 3\n", "image"]);
    assert.deepEqual(heard.images, [image.image.file_id]);
    assert.deepEqual(message.content.map((part) => part.type), ["image_file", "text"]);
    const [link] = message.content[1].text.annotations;
    assert.equal(link.text, "sandbox:/mnt/data/summary.csv");
    assert.equal(await (await client.files.content(link.file_path.file_id)).text(), "total\n60\n");
    const where = { thread_id: step.thread_id, run_id: step.run_id };
    assert.deepEqual(await client.beta.threads.runs.steps.retrieve(step.id, where), step);
  },

  async a_search_is_heard_and_its_answer_is_cited(client) {
    const up = async (name, words) =>
      (await client.files.create({ file: await toFile(Buffer.from(words), name), purpose: "assistants" })).id;
    const refunds = await up("handbook.md", "Refunds are paid within thirty days.\n");
    const bicycles = await up("parking.txt", "Bicycles are parked behind the house.\n");
    const assistant = await client.beta.assistants.create({
      model: "puppet", instructions: "play: search", tools: [{ type: "file_search" }],
      tool_resources: { file_search: { vector_stores: [{ file_ids: [refunds] }] } },
    });
    const attachments = [{ file_id: bicycles, tools: [{ type: "file_search" }] }];
    const thread = await client.beta.threads.create({ messages: [{ role: "user", content: "Well?", attachments }] });
    const content = "step_details.tool_calls[*].file_search.results[*].content";
    const stream = client.beta.threads.runs.stream(thread.id, { assistant_id: assistant.id, include: [content] });
    const heard = { calls: {}, annotations: [] };
    stream.on("toolCallDone", (call) => (heard.calls[call.id] = call));
    stream.on("textDelta", (delta) => heard.annotations.push(...(delta.annotations ?? [])));
    const [message] = await stream.finalMessages();
    const { value, annotations } = message.content[0].text;
    assert.deepEqual(annotations.map((note) => note.type), ["file_citation", "file_citation"]);
    assert.deepEqual(annotations.map((note) => note.file_citation.file_id).sort(), [refunds, bicycles].sort());
    // Offsets count characters, not the halves that JavaScript counts.
    const characters = [...value];
    for (const note of annotations) {
      assert.equal(characters.slice(note.start_index, note.end_index).join(""), note.text);
    }
    assert.deepEqual(heard.annotations.map(({ index, ...note }) => note), annotations);
    const [step] = (await stream.finalRunSteps()).filter((one) => one.type === "tool_calls");
    const where = { thread_id: step.thread_id, run_id: step.run_id };
    assert.deepEqual(await client.beta.threads.runs.steps.retrieve(step.id, { ...where, include: [content] }), step);
    const { results } = step.step_details.tool_calls[0].file_search;
    assert.deepEqual(results.map((result) => result.file_name).sort(), ["handbook.md", "parking.txt"]);
    assert.match(results.map((result) => result.content[0].text).join(" "), /thirty days/);
    const bare = await client.beta.threads.runs.steps.retrieve(step.id, where);
    assert.equal(bare.step_details.tool_calls[0].file_search.results[0].content, undefined);
  },

  async a_batch_is_uploaded_found_and_deleted(client) {
    const store = await client.vectorStores.create({ name: "house" });
    const files = await Promise.all([
      toFile(Buffer.from("Bicycles are parked behind the house.\n"), "parking.txt"),
      toFile(Buffer.from("# Roof\nIt leaks.\n"), "roof.md"),
      toFile(Buffer.from("%PDF-1.7 and no more"), "broken.pdf"),
    ]);
    const batch = await client.vectorStores.fileBatches.uploadAndPoll(store.id, { files });
    const { completed, failed, total } = batch.file_counts;
    assert.deepEqual([batch.status, completed, failed, total], ["completed", 2, 1, 3]);
    const [broken] = (await client.vectorStores.files.list(store.id, { filter: "failed" })).data;
    assert.equal(broken.last_error.code, "invalid_file");
    const find = async (query) => (await client.vectorStores.search(store.id, { query })).data;
    const [found] = await find("Where are bicycles?");
    assert.deepEqual([found.filename, found.content[0].text], ["parking.txt", "Bicycles are parked behind the house.\n"]);
    assert.equal(await (await client.files.content(found.file_id)).text(), found.content[0].text);
    await client.files.delete(found.file_id);
    assert.deepEqual(await find("Where are bicycles?"), []);
    const extra = await client.vectorStores.files.uploadAndPoll(store.id, await toFile(Buffer.from("A cellar."), "c.txt"));
    assert.equal(extra.status, "completed");
    assert.equal((await client.vectorStores.delete(store.id)).deleted, true);
  },

  async a_file_comes_in_parts(client) {
    const { uploads, files } = client;
    const upload = await uploads.create({
      filename: "letters.txt", bytes: 6, mime_type: "text/plain", purpose: "assistants",
    });
    const second = await uploads.parts.create(upload.id, { data: await toFile(Buffer.from("def"), "part") });
    const first = await uploads.parts.create(upload.id, { data: await toFile(Buffer.from("abc"), "part") });
    const done = await uploads.complete(upload.id, { part_ids: [first.id, second.id] });
    assert.deepEqual([done.status, done.file.filename, done.file.bytes], ["completed", "letters.txt", 6]);
    assert.equal(await (await files.content(done.file.id)).text(), "abcdef");
    await files.delete(done.file.id);
    const other = await uploads.create({
      filename: "a.txt", bytes: 6, mime_type: "text/plain", purpose: "assistants",
    });
    assert.equal((await uploads.cancel(other.id)).status, "cancelled");
  },

  async code_is_cancelled_while_it_runs_and_what_it_printed_stays(client) {
    const endless = "import time\nprint('begun')\nwhile True:\n    time.sleep(0.01)";
    const thread = await client.beta.threads.create(ask(endless));
    const assistant = await actor(client, "obey", { type: "code_interpreter" });
    const stream = client.beta.threads.runs.stream(thread.id, { assistant_id: assistant.id });
    stream.on("toolCallDelta", async (delta) => {
      if (delta.code_interpreter?.outputs?.some((output) => output.logs === "begun\n")) {
        await client.beta.threads.runs.cancel(stream.currentRun().id, { thread_id: thread.id });
      }
    });
    const [step] = await stream.finalRunSteps();
    assert.equal(step.status, "cancelled");
    const [call] = step.step_details.tool_calls;
    assert.deepEqual(call.code_interpreter, { input: endless, outputs: [{ type: "logs", logs: "begun\n" }] });
    const where = { thread_id: step.thread_id, run_id: step.run_id };
    assert.deepEqual(await client.beta.threads.runs.steps.retrieve(step.id, where), step);
  },

  async refusals_are_the_right_classes(client) {
    const { BadRequestError, NotFoundError, AuthenticationError } = OpenAI;
    const { assistants, threads } = client.beta;
    const missing = await refused(threads.retrieve("thread_none"), NotFoundError);
    assert.match(missing.message, /No thread found with id 'thread_none'\./);
    const unknown = await refused(assistants.create({ model: "demo", colour: "red" }), BadRequestError);
    assert.deepEqual([unknown.code, unknown.param], ["unknown_parameter", "colour"]);
    const model = await refused(assistants.create({ model: "no-such-model" }), NotFoundError);
    assert.equal(model.code, "model_not_found");
    const key = await refused(client.withOptions({ apiKey: "sk-wrong-key" }).beta.threads.create(), AuthenticationError);
    assert.equal(key.code, "invalid_api_key");
    const beta = await refused(threads.create({}, { headers: { "OpenAI-Beta": null } }), BadRequestError);
    assert.equal(beta.code, "invalid_beta");
    const run = await threads.createAndRunPoll({
      assistant_id: (await actor(client, "one_call", WEATHER)).id, thread: ask("Weather?"),
    });
    const busy = await refused(threads.messages.create(run.thread_id, { role: "user", content: "x" }), BadRequestError);
    assert.match(busy.message, new RegExp(`Can't add messages to ${run.thread_id} while a run ${run.id} is active`));
    await threads.runs.cancel(run.id, { thread_id: run.thread_id });
  },
};

console.log(JSON.stringify({ version: VERSION }));
for (const [name, play] of Object.entries(scenarios)) {
  const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, defaultHeaders: { "x-scenario": name } });
  const began = Date.now();
  let error = null;
  try {
    await play(client);
  } catch (reason) {
    error = String(reason?.stack ?? reason);
  }
  console.log(JSON.stringify({ scenario: name, error, seconds: (Date.now() - began) / 1000 }));
}
