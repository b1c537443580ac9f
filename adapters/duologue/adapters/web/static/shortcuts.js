// Keyboard shortcuts. All but Escape need Alt, so that typing does not trigger them.

/** Handles the keyboard shortcuts of the page. */
export function listenForKeys(controller, store) {
  const actions = {
    KeyN: () => controller.start(),
    KeyM: () => toggleMute(controller, store),
    KeyT: () => document.getElementById("typed")?.focus(),
    KeyS: () => controller.show("settings"),
  };
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") return interrupt(controller, store);
    if (!event.altKey || event.ctrlKey || event.metaKey) return;
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
    const session = digit && store.state.sessions?.[digit - 1];
    const action = session ? () => controller.select(session.id) : actions[event.code];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function toggleMute(controller, { state }) {
  const activity = state.views[state.selected]?.view.activity;
  if (activity && controller.client.calls.has(state.selected)) controller.mute(!activity.muted);
}

function interrupt(controller, { state }) {
  const view = state.views[state.selected]?.view;
  if (view && state.travel?.index != null) controller.travel.leave();
  else if (view?.active || view?.activity.playing) controller.command({ type: "interrupt" });
}
