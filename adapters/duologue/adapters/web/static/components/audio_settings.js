// Audio devices, and the requested and granted settings of the microphone.

import { html, useEffect, useState } from "../html.js";
import { t } from "../i18n.js";
import { MICROPHONE } from "../duologue.js";
import { Choice, Switch } from "./widgets.js";

export function Sound({ prefs, granted, controller }) {
  const devices = useDevices(granted);
  const ask = (name, on) =>
    controller.ask({ asked: { ...prefs.asked, [name]: on && MICROPHONE[name] } });
  return html`<div class="sound">
    <fieldset><legend>${t("devices")}</legend>
      <${Choice} label=${t("input")} value=${prefs.input}
        options=${listed(devices, "audioinput")}
        onChange=${(input) => controller.ask({ input })} />
      ${
        "setSinkId" in HTMLMediaElement.prototype &&
        html`<${Choice} label=${t("output-device")}
        value=${prefs.output} options=${listed(devices, "audiooutput")}
        onChange=${(id) => controller.output(id)} />`
      }
      <${Switch} label=${t("one-microphone")} checked=${prefs.oneMicrophone}
        onChange=${(on) => controller.store.prefer({ oneMicrophone: on })} />
    </fieldset>
    <fieldset><legend>${t("asked-of-microphone")}</legend>
      ${Object.keys(MICROPHONE).map(
        (name) => html`<${Switch} key=${name} label=${t(`ask-${name}`)}
        checked=${Boolean(prefs.asked[name])} onChange=${(on) => ask(name, on)}
        note=${html`<span data-granted=${name}>${grantedText(granted, name)}</span>`} />`,
      )}
      <p class="note">${t(granted ? "granted-note" : "granted-later")}</p>
    </fieldset>
  </div>`;
}

function grantedText(granted, name) {
  if (!granted) return "";
  const value = granted[name];
  if (value === undefined) return t("granted-unknown");
  const text = typeof value === "boolean" ? t(value ? "on" : "off") : value;
  return t("granted", { value: text });
}

/** The devices; browsers reveal their names once the microphone is allowed. */
function useDevices(granted) {
  const [devices, setDevices] = useState([]);
  useEffect(() => {
    const media = navigator.mediaDevices;
    const look = () => media?.enumerateDevices?.().then(setDevices, () => {});
    look();
    media?.addEventListener?.("devicechange", look);
    return () => media?.removeEventListener?.("devicechange", look);
  }, [granted]);
  return devices;
}

function listed(devices, kind) {
  const found = devices.filter(
    (device) =>
      device.kind === kind && device.deviceId && device.deviceId !== "default",
  );
  const names = found.map(({ deviceId, label }, at) => [
    deviceId,
    label || t("device", { n: at + 1 }),
  ]);
  return [["", t("default-device")], ...names];
}
