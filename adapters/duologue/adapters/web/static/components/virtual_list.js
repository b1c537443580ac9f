// A virtual list: only the visible rows are in the document.

import { html, useEffect, useRef, useState } from "../html.js";

const ROW = 44;
const MARGIN = 10;

/**
 * Rows of equal height, one of them selected; arrows, Page, Home and End move it.
 *
 * `draw(index)` renders a row; `onGo(index)` is called to select another.
 */
export function VirtualList({ count, chosen, draw, onGo, label, id }) {
  const box = useRef(null);
  const [top, setTop] = useState(0);
  const height = box.current?.clientHeight || 320;
  const first = Math.max(0, Math.floor(top / ROW) - MARGIN);
  const end = Math.min(count, Math.ceil((top + height) / ROW) + MARGIN);
  useEffect(() => keepInSight(box.current, chosen ?? count - 1), [chosen, count]);
  const move = (event) => {
    const now = chosen ?? count - 1;
    const page = Math.max(1, Math.floor(height / ROW) - 1);
    const to = {
      ArrowUp: now - 1,
      ArrowDown: now + 1,
      ArrowLeft: now - 1,
      ArrowRight: now + 1,
      PageUp: now - page,
      PageDown: now + page,
      Home: 0,
      End: count - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    onGo(Math.min(count - 1, Math.max(0, to)));
  };
  const sees = chosen !== null && chosen >= first && chosen < end;
  const rows = [];
  for (let index = first; index < end; index += 1) {
    rows.push(html`<div key=${index} id=${`${id}-${index}`} role="option" class="row"
      aria-selected=${index === chosen ? "true" : "false"} aria-setsize=${count}
      aria-posinset=${index + 1}
      style=${{ transform: `translateY(${index * ROW}px)` }} onClick=${() => onGo(index)}>${draw(index)}</div>`);
  }
  return html`<div class="virtual" ref=${box} role="listbox" tabindex="0"
    aria-label=${label}
    aria-activedescendant=${sees ? `${id}-${chosen}` : undefined}
    onScroll=${(event) => setTop(event.target.scrollTop)} onKeyDown=${move}>
    <div role="presentation" style=${{ height: `${count * ROW}px` }}>${rows}</div>
  </div>`;
}

function keepInSight(box, index) {
  const at = index * ROW;
  if (at < box.scrollTop) box.scrollTop = at;
  else if (at + ROW > box.scrollTop + box.clientHeight)
    box.scrollTop = at + ROW - box.clientHeight;
}
