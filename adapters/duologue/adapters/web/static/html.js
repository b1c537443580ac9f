// The view library: preact with htm's templates, without a build step.

import htm from "./vendor/htm.js";
import { Component, h, options, render } from "./vendor/preact.js";

export { useEffect, useId, useMemo, useRef, useState } from "./vendor/hooks.js";
export { render };

/** A template: html`<p class=${name}>${text}</p>`. Values are inserted as text. */
export const html = htm.bind(h);

// Renders at most once a frame. A hidden page has no frames.
options.debounceRendering = (draw) => {
  if (document.hidden) setTimeout(draw, 200);
  else requestAnimationFrame(draw);
};

/** A component that renders again only if one of its props is another object. */
export function memo(draw) {
  return class extends Component {
    shouldComponentUpdate(next) {
      const names = Object.keys({ ...next, ...this.props });
      return names.some((name) => next[name] !== this.props[name]);
    }

    render(props) {
      return draw(props);
    }
  };
}
