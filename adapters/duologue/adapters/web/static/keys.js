// Keyboard shortcuts. All but Escape need Alt, so that typing does not trigger them.

/** Handles the keyboard shortcuts of the page. */
export function listenForKeys(desk, store) {
  const actions = {
    KeyN: () => desk.start(),
    KeyM: () => toggleMute(desk, store),
    KeyT: () => document.getElementById("typed")?.focus(),
    KeyS: () => desk.show("settings"),
  };
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") return interrupt(desk, store);
    if (!event.altKey || event.ctrlKey || event.metaKey) return;
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
    const session = digit && store.state.sessions?.[digit - 1];
    const action = session ? () => desk.select(session.id) : actions[event.code];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function toggleMute(desk, { state }) {
  const activity = state.views[state.selected]?.view.activity;
  if (activity && desk.client.calls.has(state.selected)) desk.mute(!activity.muted);
}

function interrupt(desk, { state }) {
  const view = state.views[state.selected]?.view;
  if (view && state.travel?.index != null) desk.travel.leave();
  else if (view?.active || view?.activity.playing) desk.command({ type: "interrupt" });
}
