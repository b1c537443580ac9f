// A session of `@openai/agents` over WebSocket: a spoken turn, a tool call, an
// interruption. Prints one JSON object. Arguments: the URL and a WAV file.

import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import {
  OpenAIRealtimeWebSocket,
  RealtimeAgent,
  RealtimeSession,
  tool,
} from "@openai/agents/realtime";
import { z } from "zod";

const [url, question] = process.argv.slice(2);
const errors = [];
const toolCalls = [];
const weather = tool({
  name: "get_weather",
  description: "The weather in a city.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    toolCalls.push(city);
    return `sunny in ${city}`;
  },
});

/** Runs `talk` in a session of its own. */
async function withSession(talk) {
  const agent = new RealtimeAgent({
    name: "Agent",
    instructions: "Help.",
    tools: [weather],
  });
  const session = new RealtimeSession(agent, {
    transport: new OpenAIRealtimeWebSocket({ url }),
    model: "any",
    tracingDisabled: true,
    config: {
      audio: {
        input: { transcription: { model: "any" }, turnDetection: { type: "server_vad" } },
      },
    },
  });
  session.on("error", (error) => errors.push(JSON.stringify(error)));
  await session.connect({ apiKey: "made-up", model: "any" });
  try {
    return await talk(session);
  } finally {
    session.close();
  }
}

/** Resolves when `event` fires the `times`-th time. */
function until(session, event, times = 1) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event}`)), 30_000);
    session.on(event, () => {
      times -= 1;
      if (times === 0) {
        clearTimeout(timer);
        resolve();
      }
    });
  });
}

/** Plays a WAV file in real time, and a second of silence. */
async function speak(session, path) {
  const pcm = Buffer.concat([(await readFile(path)).subarray(44), Buffer.alloc(48_000)]);
  for (let start = 0; start < pcm.length; start += 4800) {
    session.sendAudio(new Uint8Array(pcm.subarray(start, start + 4800)).buffer);
    await sleep(100);
  }
}

/** Who said what, by the history that the package keeps. */
function lines(session) {
  return session.history
    .filter((item) => item.type === "message")
    .map((item) => [
      item.role,
      item.content.map((part) => part.transcript ?? part.text ?? "").join(""),
    ]);
}

const voice = await withSession(async (session) => {
  let bytes = 0;
  session.on("audio", (event) => (bytes += event.data.byteLength));
  const ended = until(session, "agent_end");
  await Promise.all([speak(session, question), ended]);
  return { lines: lines(session), seconds: bytes / 48_000 };
});

const called = await withSession(async (session) => {
  const ended = until(session, "agent_end", 2);
  session.sendMessage("What is the weather in Paris?");
  await ended;
  return { lines: lines(session), calls: toolCalls };
});

const interrupted = await withSession(async (session) => {
  const started = until(session, "audio");
  session.sendMessage("Tell me the numbers from one to twenty.");
  await started;
  await sleep(1000);
  const stopped = until(session, "audio_interrupted");
  const answered = until(session, "agent_end");
  await Promise.all([speak(session, question), stopped]);
  await answered;
  await sleep(500);
  return { lines: lines(session) };
});

console.log(JSON.stringify({ voice, called, interrupted, errors }));
process.exit(0);
