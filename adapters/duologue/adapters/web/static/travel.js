// Time travel: the records of a session, a place among them, and the view as it was.

const PAGE = 1_000;
const GROW_MS = 1_000;
const KEPT = 64;
/** No step of a replay waits longer, whatever the pause in the recording was. */
const LONGEST_MS = 3_000;
const FRAME_MS = 40;
/** A step where the log does not say when its records came. */
const UNTIMED_MS = 250;

const NO_FILTER = { dir: "", type: "", q: "" };
export const SPEEDS = [1, 2, 5, 20, 100];

/** Texts for what the server answers, by its status. */
const WHY = { 404: "past-dropped", 410: "past-dropped" };

/** Moves through the records of one session; its state is `travel` of the store. */
export class Travel {
  constructor(client, store) {
    this.client = client;
    this.store = store;
    this.kept = new Map();
  }

  get #here() {
    return this.store.state.travel;
  }

  #set(changes) {
    if (this.#here) this.store.set({ travel: { ...this.#here, ...changes } });
  }

  /** Lists the records of a session, and follows them as they come. */
  open(session) {
    if (this.#here?.session === session) return;
    this.kept.clear();
    this.store.set({
      travel: {
        session,
        records: [],
        bounds: null,
        filter: NO_FILTER,
        loading: true,
        index: null,
        shown: null,
        /** Why `shown` is not there: a key of the texts. */
        lacking: null,
        playing: false,
        speed: 1,
      },
    });
    this.#list();
  }

  /** Shows only records of a direction, a type or with a text in them. */
  filter(changes) {
    const filter = { ...this.#here.filter, ...changes };
    this.#set({ filter, records: [], loading: true, index: null, playing: false });
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.#list(), 150);
  }

  /** Goes to a place in the list that is shown. */
  go(index) {
    const { records } = this.#here;
    if (!records.length) return;
    const place = Math.min(records.length - 1, Math.max(0, index));
    this.#set({ index: place });
    return this.#look(records[place].seq);
  }

  /** Goes some records on or back; from now it begins at the last one. */
  step(by) {
    const { index, records } = this.#here;
    return this.go(index === null ? records.length - 1 + Math.min(0, by) : index + by);
  }

  /** Back to now. */
  leave() {
    this.#set({ index: null, shown: null, lacking: null, playing: false });
  }

  speed(speed) {
    this.#set({ speed });
  }

  /** Plays the records as they came, `speed` times as fast. */
  async play() {
    const { index, records } = this.#here;
    const from = index === null || index >= records.length - 1 ? 0 : index;
    this.#set({ playing: true });
    await this.go(from);
    while (this.#here?.playing && !this.#here.lacking) {
      const { index: now, records: list, speed } = this.#here;
      if (now === null || now >= list.length - 1) break;
      const waits = pause(list[now], list[now + 1]) / speed;
      await new Promise((done) => setTimeout(done, waits));
      if (!this.#here?.playing || this.#here.index !== now) continue;
      await this.go(this.#within(list, now, speed));
    }
    this.#set({ playing: false });
  }

  pause() {
    this.#set({ playing: false });
  }

  /** The last record that falls into the same frame as the next one. */
  #within(list, now, speed) {
    let next = now + 1;
    const begin = list[next].at;
    if (begin === null) return next;
    const end = begin + (FRAME_MS / 1000) * speed;
    const falls = ({ at }) => at !== null && at < end;
    while (next < list.length - 1 && falls(list[next + 1])) next += 1;
    return next;
  }

  async #list() {
    clearTimeout(this.growing);
    const { session, filter, records } = this.#here ?? {};
    if (!session) return;
    const from = records.length ? records.at(-1).seq + 1 : undefined;
    // What is typed is the beginning of a type.
    const type = filter.type && filter.type.replace(/\*?$/, "*");
    const asked = { ...filter, type, from, limit: PAGE };
    let told;
    try {
      told = await this.client.records(session, asked);
    } catch {
      // The server is away, which the page says already.
      told = { records: [] };
    }
    const here = this.#here;
    if (here?.session !== session || here.filter !== filter || here.records !== records)
      return;
    const { records: more, ...bounds } = told;
    this.#set({
      bounds: bounds.last === undefined ? here.bounds : bounds,
      loading: Boolean(told.more),
      ...(more.length ? { records: [...records, ...more] } : {}),
    });
    this.growing = setTimeout(() => this.#list(), told.more ? 0 : GROW_MS);
  }

  async #look(seq) {
    const { session } = this.#here;
    let found;
    try {
      found = { shown: await this.#fetched(session, seq) };
    } catch (error) {
      // What was shown is of another record than the banner names.
      found = { shown: null, lacking: WHY[error.status] ?? "past-away" };
    }
    const here = this.#here;
    // Somebody may have gone on while this was on its way.
    if (here?.session !== session || here.index === null) return;
    if (here.records[here.index]?.seq === seq) this.#set({ lacking: null, ...found });
  }

  async #fetched(session, seq) {
    const key = `${session}/${seq}`;
    if (!this.kept.has(key)) {
      const asked = [this.client.viewAt(session, seq), this.client.record(session, seq)];
      const [{ view, patch }, record] = await Promise.all(asked);
      this.kept.set(key, { seq, view, patch, record });
      if (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
    }
    return this.kept.get(key);
  }
}

/** How long a replay waits between two records at its plain speed, in ms. */
function pause(before, after) {
  if (before.at === null || after.at === null) return UNTIMED_MS;
  return Math.min(LONGEST_MS, Math.max(0, (after.at - before.at) * 1000));
}
