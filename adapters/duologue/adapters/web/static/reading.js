// What the page reads out of a view. The view is made by the server; nothing here
// decides what an event means.

import { keysOf } from "./duologue.js";

/** The value at a path of keys, or undefined. */
export function at(object, path) {
  return path.split(".").reduce((node, key) => node?.[key], object);
}

/** The words of an item, all parts of it. */
export function textOf(item) {
  return item.parts
    .map((part) => part.chunks.join(""))
    .join("")
    .trim();
}

/** Whether the words of an item will not change any more. */
export function isFinal(item) {
  if (!item.parts.length)
    return item.role === "assistant" && item.status !== "in_progress";
  return item.parts.every((part) => part.final);
}

/** Text that was cut off, as what was heard and the rest; `rest` is "" if it was not. */
export function heardOf(item) {
  const text = textOf(item);
  const { heard } = item;
  if (item.interrupted === null || heard === null || !text.startsWith(heard)) {
    return { heard: text, rest: "" };
  }
  return { heard, rest: text.slice(heard.length) };
}

/**
 * The last lines of a conversation: items and, by their time, the problems between. A
 * line with neither is a gap: records are missing there.
 *
 * @returns {{lines: {key: string, item?: object, problem?: object}[], earlier: number}}
 */
export function linesOf(view, most) {
  const ids = view.order.slice(-most);
  const earlier = view.order.length - ids.length;
  const since = earlier ? (view.items[ids[0]]?.started_at ?? 0) : 0;
  const problems = view.problems
    .map((problem, index) => ({ problem, key: `problem-${problem.at}-${index}` }))
    .filter(({ problem }) => (problem.at ?? Infinity) >= since);
  const lines = !earlier && view.gaps.includes("") ? [{ key: "gap-" }] : [];
  for (const id of ids) {
    const item = view.items[id];
    while (
      problems.length &&
      (problems[0].problem.at ?? Infinity) < (item.started_at ?? 0)
    ) {
      lines.push(problems.shift());
    }
    lines.push({ key: id, id, item });
    if (view.gaps.includes(id)) lines.push({ key: `gap-${id}` });
  }
  return { lines: [...lines, ...problems], earlier };
}

/** The turns with their latencies, oldest first. */
export function turnsOf(view, most) {
  return view.response_order
    .map((id) => ({ id, ...view.responses[id] }))
    .filter((turn) => turn.in_conversation && turn.first_audio_ms !== undefined)
    .slice(-most);
}

/** The items that a patch touched, by id. */
export function touchedItems(patch) {
  const paths = (patch ?? []).map(({ path }) => keysOf(path));
  return new Set(paths.filter(([key]) => key === "items").map(([, id]) => id));
}

/** A name for a session that has none. */
export function nameOf(sessions, session, t) {
  if (session.title) return session.title;
  const sorted = sessions.toSorted((a, b) => a.created_at - b.created_at);
  const place = sorted.findIndex(({ id }) => id === session.id) + 1;
  return t(session.kind === "import" ? "imported" : "conversation", { n: place });
}
