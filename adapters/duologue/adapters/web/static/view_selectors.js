// Selectors over a view. The server computes the view; nothing here interprets events.

import { keysOf } from "./duologue.js";

/** The value at a path of keys, or undefined. */
export function at(object, path) {
  return path.split(".").reduce((node, key) => node?.[key], object);
}

/** The text of all parts of an item. */
export function textOf(item) {
  return item.parts
    .map((part) => part.chunks.join(""))
    .join("")
    .trim();
}

/** Whether the text of an item is final. */
export function isFinal(item) {
  if (!item.parts.length)
    return item.role === "assistant" && item.status !== "in_progress";
  return item.parts.every((part) => part.final);
}

/** The text of an item, split at an interruption: the played part and the rest. */
export function heardOf(item) {
  const text = textOf(item);
  const { heard } = item;
  if (item.interrupted === null || heard === null || !text.startsWith(heard)) {
    return { heard: text, rest: "" };
  }
  return { heard, rest: text.slice(heard.length) };
}

/**
 * The last lines of a conversation: items, problems and reconnections, ordered by time.
 * A line with none of them marks a gap in the records.
 *
 * @returns {{lines: {key: string, item?: object, problem?: object,
 *   reconnection?: object}[], earlier: number}}
 */
export function linesOf(view, most) {
  const ids = view.order.slice(-most);
  const earlier = view.order.length - ids.length;
  const since = earlier ? (view.items[ids[0]]?.started_at ?? 0) : 0;
  const notes = [
    ...view.problems.map((problem, index) => ({
      problem,
      at: problem.at ?? Infinity,
      key: `problem-${problem.at}-${index}`,
    })),
    ...view.reconnections.map((reconnection) => ({
      reconnection,
      at: reconnection.at ?? Infinity,
      key: `connection-${reconnection.epoch}`,
    })),
  ]
    .filter((note) => note.at >= since)
    .sort((a, b) => a.at - b.at || 0);
  const lines = !earlier && view.gaps.includes("") ? [{ key: "gap-" }] : [];
  for (const id of ids) {
    const item = view.items[id];
    while (notes.length && notes[0].at < (item.started_at ?? 0)) {
      lines.push(notes.shift());
    }
    lines.push({ key: id, id, item });
    if (view.gaps.includes(id)) lines.push({ key: `gap-${id}` });
  }
  return { lines: [...lines, ...notes], earlier };
}

/** The last turns with their latencies, oldest first. */
export function turnsOf(view, most) {
  return view.response_order
    .map((id) => ({ id, ...view.responses[id] }))
    .filter((turn) => turn.in_conversation && turn.first_audio_ms !== undefined)
    .slice(-most);
}

/** The ids of the items that a patch changed. */
export function touchedItems(patch) {
  const paths = (patch ?? []).map(({ path }) => keysOf(path));
  return new Set(paths.filter(([key]) => key === "items").map(([, id]) => id));
}

/** The title of a session, or a generated name. */
export function nameOf(sessions, session, t) {
  if (session.title) return session.title;
  const sorted = sessions.toSorted((a, b) => a.created_at - b.created_at);
  const place = sorted.findIndex(({ id }) => id === session.id) + 1;
  return t(session.kind === "import" ? "imported" : "conversation", { n: place });
}
