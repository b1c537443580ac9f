// Icons on a grid of 24. They are hidden from screen readers, because the buttons
// around them have labels.

import { html } from "../html.js";

const PATHS = {
  plus: "M12 5v14M5 12h14",
  mic: "M12 4a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V7a3 3 0 0 1 3-3zM6 11a6 6 0 0 0 12 0M12 17v3",
  muted:
    "M4 4l16 16M9 9v3a3 3 0 0 0 5 2M15 11V7a3 3 0 0 0-6-.6M6 11a6 6 0 0 0 9 5M12 17v3",
  stop: "M7 7h10v10H7z",
  hangup: "M4 14c5-5 11-5 16 0l-3 3-3-2v-2.5h-4V15l-3 2z",
  send: "M5 12h13M13 6l6 6-6 6",
  volume: "M5 10v4h3l4 4V6L8 10zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
  close: "M6 6l12 12M18 6L6 18",
  trash: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12",
  first: "M7 6v12M18 6l-8 6 8 6z",
  back: "M15 6l-8 6 8 6z",
  play: "M8 5l11 7-11 7z",
  pause: "M8 6v12M16 6v12",
  next: "M9 6l8 6-8 6z",
  last: "M17 6v12M6 6l8 6-8 6z",
  import: "M12 4v10M8 10l4 4 4-4M5 19h14",
  export: "M12 15V5M8 9l4-4 4 4M5 19h14",
  list: "M5 7h14M5 12h14M5 17h14",
  talk: "M5 6h14v9H11l-4 4v-4H5z",
  sliders: "M5 8h8M17 8h2M5 16h2M11 16h8M15 6v4M9 14v4",
  tool: "M14 6a4 4 0 0 0-5 5l-5 5 3 3 5-5a4 4 0 0 0 5-5l-2.5 2.5-2.5-2.5z",
  warning: "M12 4l9 16H3zM12 10v4M12 17v.5",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${PATHS[name]} />
  </svg>`;
}
