// The list of sessions, with their status and speaker.

import { html, memo } from "../html.js";
import { visible } from "../format.js";
import { t } from "../i18n.js";
import { nameOf } from "../view_selectors.js";
import { Button, Status } from "./widgets.js";

export const Sessions = memo(({ sessions, gone, selected, calls, busy, controller }) => {
  const known = sessions ?? [];
  const listed = new Set(known.map(({ id }) => id));
  const lost = Object.values(gone).filter(({ id }) => !listed.has(id));
  const all = [...lost.map((session) => ({ ...session, lost: true })), ...known];
  return html`<nav class="sessions" aria-label=${t("sessions")}>
    <${Button} kind="primary" icon="plus" label=${t("new")} keys="Alt+N"
      disabled=${busy} onClick=${() => controller.start()} />
    <ul>
      ${all.map(
        (session) => html`<${Entry} key=${session.id} session=${session}
          name=${visible(nameOf(all, session, t))} current=${session.id === selected}
          here=${session.id in calls} controller=${controller} />`,
      )}
    </ul>
    ${sessions && !all.length && html`<p class="empty">${t("no-sessions")}</p>`}
    <label class="button plain file">
      <span>${t("import")}</span>
      <input type="file" accept=".jsonl,.json,application/jsonl" onChange=${(event) => {
        const [file] = event.target.files;
        if (file) controller.importLog(file);
        event.target.value = "";
      }} />
    </label>
  </nav>`;
});

function Entry({ session, name, current, here, controller }) {
  return html`<li class="session ${current ? "current" : ""}">
    <button type="button" class="session-main" aria-current=${current ? "true" : undefined}
      onClick=${() => controller.select(session.id)}>
      <span class="session-name" dir="auto">${name}</span>
      <span class="session-state"><${State} session=${session} here=${here} /></span>
    </button>
    <${Button} bare icon="trash" label=${t("forget", { name })}
      onClick=${() => controller.forget(session.id)} />
  </li>`;
}

function State({ session, here }) {
  if (session.lost) return html`<span class="status closed">${t("lost")}</span>`;
  if (session.kind === "import")
    return html`<span class="status closed">${t("log")}</span>`;
  const speaking = session.speaking && t(`speaking-${session.speaking}`);
  return html`<${Status} status=${session.status} />
    ${session.muted && html`<span class="tag">${t("muted")}</span>`}
    ${session.status === "open" && !here && html`<span class="tag">${t("elsewhere")}</span>`}
    ${speaking && html`<span class="speaking ${session.speaking}">${speaking}</span>`}`;
}
