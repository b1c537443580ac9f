// The text field: Enter sends, Shift+Enter inserts a line break.

import { html, useRef, useState } from "../html.js";
import { t } from "../i18n.js";
import { Button } from "./widgets.js";

export function Composer({ disabled, controller }) {
  const [text, setText] = useState("");
  const box = useRef(null);
  const send = () => {
    // The value of the element: the state may not have its last letters yet.
    const typed = box.current.value.trim();
    if (!typed || disabled) return;
    controller.command({ type: "text", text: typed });
    setText("");
    box.current.value = "";
    box.current.focus();
  };
  return html`<form class="composer" onSubmit=${(event) => {
    event.preventDefault();
    send();
  }}>
    <label class="sr" for="typed">${t("type")}</label>
    <textarea id="typed" ref=${box} rows="1" dir="auto" value=${text} maxlength="10000"
      placeholder=${t("type")} disabled=${disabled} aria-keyshortcuts="Alt+T"
      onInput=${(event) => setText(event.target.value)}
      onKeyDown=${(event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        send();
      }}></textarea>
    <${Button} icon="send" bare kind="primary" label=${t("send")}
      disabled=${disabled || !text.trim()} onClick=${send} />
  </form>`;
}
