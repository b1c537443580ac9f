// The controls of a call: level meters, mute, interrupt, volume, hang up.

import { html, memo, useEffect, useRef } from "../html.js";
import { t } from "../i18n.js";
import { Button } from "./widgets.js";

export const CallBar = memo(({ call, view, controller }) => {
  const { muted, volume, speaking_item: speaking, playing } = view.activity;
  const busy = view.active !== null || playing !== null;
  return html`<section class="callbar" aria-label=${t("call")}>
    <div class="meters">
      <${Level} side="microphone" call=${call} active=${speaking !== null}
        text=${t(muted ? "muted" : speaking !== null ? "hears-you" : "quiet")} />
      <${Level} side="reply" call=${call} active=${playing !== null}
        text=${t(playing !== null ? "playing" : "quiet")} />
    </div>
    <div class="controls">
      <${Button} icon=${muted ? "muted" : "mic"} label=${t(muted ? "unmute" : "mute")}
        aria-pressed=${muted} kind=${muted ? "warn" : "plain"} keys="Alt+M"
        onClick=${() => controller.mute(!muted)} />
      <${Button} icon="stop" label=${t("interrupt")} keys="Escape" disabled=${!busy}
        onClick=${() => controller.command({ type: "interrupt" })} />
      <label class="volume"><span class="sr">${t("volume")}</span>
        <input type="range" min="0" max="1" step="0.05" value=${volume}
          onChange=${(event) => controller.command({ type: "volume", level: Number(event.target.value) })} />
      </label>
      <${Button} icon="hangup" label=${t("hang-up")} kind="danger"
        onClick=${() => controller.hangUp()} />
    </div>
  </section>`;
});

/** A level meter, updated on each frame without the view library. */
function Level({ side, call, active, text }) {
  const bar = useRef(null);
  const meter = useRef(null);
  useEffect(() => {
    let frame;
    let level = 0;
    const draw = () => {
      if (!bar.current) return;
      // Rises at once and falls slowly, so that it follows words and not syllables.
      level = Math.max(call?.levels()[side] ?? 0, level - 0.02);
      bar.current.style.transform = `scaleX(${level.toFixed(3)})`;
      meter.current.setAttribute("aria-valuenow", Math.round(level * 100));
      frame = requestAnimationFrame(draw);
    };
    draw();
    return () => cancelAnimationFrame(frame);
  }, [call, side]);
  return html`<div class="level ${side} ${active ? "active" : ""}">
    <span class="level-name">${t(`level-${side}`)}</span>
    <div class="meter" role="meter" ref=${meter} aria-label=${t(`level-${side}`)}
      aria-valuemin="0" aria-valuemax="100" aria-valuenow="0"><div ref=${bar}></div></div>
    <span class="level-state" data-state=${side}>${text}</span>
  </div>`;
}
