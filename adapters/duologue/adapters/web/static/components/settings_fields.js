// The settings of a session on the page, by their path in the GA session object, and
// the session object of an update.

const TURNS = "audio.input.turn_detection";
const WRITING = "audio.input.transcription";

const isServer = (value) => value(`${TURNS}.type`) === "server_vad";
const isSemantic = (value) => value(`${TURNS}.type`) === "semantic_vad";
const hasTurns = (value) => Boolean(value(`${TURNS}.type`));
const hasWriting = (value) => Boolean(value(`${WRITING}.model`));

/** Fields in groups; `when` decides by the other values whether a field is shown. */
export const GROUPS = [
  {
    name: "speech",
    fields: [
      { path: "instructions", label: "instructions", kind: "area" },
      {
        path: "audio.output.voice",
        label: "voice",
        kind: "choice",
        options: (config) => (config?.voices ?? []).map((name) => [name, name]),
      },
      {
        path: "output_modalities",
        label: "modalities",
        kind: "choice",
        named: true,
        options: () => [
          ["audio", "modality-audio"],
          ["text", "modality-text"],
        ],
        keyOf: (value) => value?.[0],
        valueOf: (key) => [key],
      },
    ],
  },
  {
    name: "turn-detection",
    fields: [
      {
        path: `${TURNS}.type`,
        label: "turns-by",
        kind: "choice",
        named: true,
        options: () => [
          ["server_vad", "by-silence"],
          ["semantic_vad", "by-meaning"],
          ["", "by-nobody"],
        ],
        keyOf: (value) => value ?? "",
        valueOf: (key) => key || null,
      },
      {
        path: `${TURNS}.threshold`,
        label: "threshold",
        kind: "number",
        min: 0,
        max: 1,
        step: 0.05,
        when: isServer,
      },
      {
        path: `${TURNS}.prefix_padding_ms`,
        label: "prefix",
        kind: "number",
        min: 0,
        max: 5000,
        step: 10,
        when: isServer,
      },
      {
        path: `${TURNS}.silence_duration_ms`,
        label: "silence",
        kind: "number",
        min: 0,
        max: 10000,
        step: 10,
        when: isServer,
      },
      {
        path: `${TURNS}.eagerness`,
        label: "eagerness",
        kind: "choice",
        named: true,
        options: () =>
          ["auto", "low", "medium", "high"].map((name) => [name, `eager-${name}`]),
        when: isSemantic,
      },
      {
        path: `${TURNS}.create_response`,
        label: "answers-turns",
        kind: "flag",
        when: hasTurns,
      },
      {
        path: `${TURNS}.interrupt_response`,
        label: "can-interrupt",
        kind: "flag",
        when: hasTurns,
      },
    ],
  },
  {
    name: "transcription",
    fields: [
      {
        path: `${WRITING}.model`,
        label: "transcription-model",
        kind: "text",
        empty: "off",
        known: (config) => config?.transcription_models ?? [],
      },
      {
        path: `${WRITING}.language`,
        label: "transcription-language",
        kind: "text",
        empty: "automatic",
        when: hasWriting,
      },
    ],
  },
];

/** The fields of only one kind of turn detection. */
const ONLY = {
  server_vad: [
    "threshold",
    "prefix_padding_ms",
    "silence_duration_ms",
    "idle_timeout_ms",
  ],
  semantic_vad: ["eagerness"],
};

/**
 * The session object of an update. Turn detection and transcription are complete,
 * because the service replaces them as a whole.
 */
export function changesOf(draft, current) {
  const session = {};
  for (const [path, value] of Object.entries(draft)) put(session, path, value);
  const input = session.audio?.input ?? {};
  const now = current.audio?.input ?? {};
  if (input.turn_detection) {
    input.turn_detection = turns(now.turn_detection, input.turn_detection);
  }
  if (input.transcription) {
    const merged = filled({ ...now.transcription, ...input.transcription });
    input.transcription = merged.model ? merged : null;
  }
  return session;
}

function turns(now, changes) {
  const merged = filled({ ...now, ...changes });
  if (!merged.type) return null;
  const others = Object.entries(ONLY).filter(([kind]) => kind !== merged.type);
  for (const name of others.flatMap(([, names]) => names)) delete merged[name];
  return merged;
}

/** The object without empty values, for which the service uses its defaults. */
function filled(object) {
  return Object.fromEntries(
    Object.entries(object).filter(
      ([, value]) => value !== null && value !== undefined && value !== "",
    ),
  );
}

function put(target, path, value) {
  const keys = path.split(".");
  const last = keys.pop();
  let node = target;
  for (const key of keys) node = node[key] ??= {};
  node[last] = value;
}

/** A value as text. */
export function shownValue(value, t) {
  if (value === null || value === undefined || value === "") return "–";
  if (value === true) return t("yes");
  if (value === false) return t("no");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
