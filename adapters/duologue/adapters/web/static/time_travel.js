// Time travel: the records of a session, the current one, and the view after it.

const PAGE = 1_000;
const GROW_MS = 1_000;
const KEPT = 64;
/** The longest pause in a replay. */
const LONGEST_MS = 3_000;
const FRAME_MS = 40;
/** The pause between records without times. */
const UNTIMED_MS = 250;

const NO_FILTER = { dir: "", type: "", q: "" };
export const SPEEDS = [1, 2, 5, 20, 100];

/** Navigates the records of one session; its state is `travel` of the store. */
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

  /** Lists the records of a session, and keeps the list up to date. */
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
        /** Why `shown` is missing: a key of the strings. */
        lacking: null,
        playing: false,
        speed: 1,
      },
    });
    this.#list();
  }

  /** Filters the records by direction, type or text. */
  filter(changes) {
    const filter = { ...this.#here.filter, ...changes };
    this.#set({ filter, records: [], loading: true, index: null, playing: false });
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.#list(), 150);
  }

  /** Selects a record of the list. */
  go(index) {
    const { records } = this.#here;
    if (!records.length) return;
    const place = Math.min(records.length - 1, Math.max(0, index));
    this.#set({ index: place });
    return this.#look(records[place].seq);
  }

  /** Moves by some records; from the present state, to the last record. */
  step(by) {
    const { index, records } = this.#here;
    return this.go(index === null ? records.length - 1 + Math.min(0, by) : index + by);
  }

  /** Returns to the present state. */
  leave() {
    this.#set({ index: null, shown: null, lacking: null, playing: false });
  }

  speed(speed) {
    this.#set({ speed });
  }

  /** Replays the records, `speed` times as fast as they arrived. */
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

  /** The last record in the same animation frame as the next one. */
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
    // The filter is a prefix.
    const type = filter.type && filter.type.replace(/\*?$/, "*");
    const asked = { ...filter, type, from, limit: PAGE };
    let told;
    try {
      told = await this.client.records(session, asked);
    } catch {
      // The page already shows that the server cannot be reached.
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
      // Clear the view of the previous record.
      found = { shown: null, lacking: error.status === 404 ? "past-dropped" : "past-away" };
    }
    const here = this.#here;
    // The user may have selected another record in the meantime.
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

/** The pause between two records at normal speed, in ms. */
function pause(before, after) {
  if (before.at === null || after.at === null) return UNTIMED_MS;
  return Math.min(LONGEST_MS, Math.max(0, (after.at - before.at) * 1000));
}
