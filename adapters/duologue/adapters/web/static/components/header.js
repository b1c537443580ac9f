// The header: service, state of the feed, language, colours and help.

import { html, memo } from "../html.js";
import { LANGUAGES, language, t } from "../i18n.js";
import { Button, Choice } from "./widgets.js";

export const Header = memo(({ config, link, prefs, store }) => {
  const themes = ["auto", "light", "dark"].map((name) => [name, t(`theme-${name}`)]);
  const languages = Object.entries(LANGUAGES).map(([code, { name }]) => [code, name]);
  return html`<header class="header">
    <h1>duologue</h1>
    ${
      config &&
      html`<p class="service" title=${config.service.name}>
      <span class="sr">${t("service")}: </span>${config.service.name}
    </p>`
    }
    <p class="link ${link}" role="status">${t(`link-${link}`)}</p>
    <div class="header-tools">
      <${Choice} hidden label=${t("language")} value=${language()} options=${languages}
        onChange=${(code) => store.prefer({ language: code })} />
      <${Choice} hidden label=${t("theme")} value=${prefs.theme} options=${themes}
        onChange=${(theme) => store.prefer({ theme })} />
      <${Button} label="?" aria-label=${t("help")}
        onClick=${() => store.set({ help: true })} />
    </div>
  </header>`;
});
