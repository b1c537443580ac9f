// A spoken turn in headless Chromium over WebRTC. Prints one JSON object.
// Arguments: the browser, the page, the service's base URL, an ephemeral key, the WAV
// file that is its microphone.

import { chromium } from "playwright-core";

const [executablePath, page_, baseUrl, key, wav] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: [
    ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync"],
    ...["--disable-background-networking", "--disable-component-update"],
    ...["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"],
    `--use-file-for-fake-audio-capture=${wav}%noloop`,
    "--autoplay-policy=no-user-gesture-required",
    // Without it a machine that has no network offers no address.
    "--allow-loopback-in-peer-connection",
  ],
});
try {
  const page = await browser.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  await page.goto(page_);
  const location = await page.evaluate(([url, key]) => call(url, key), [baseUrl, key]);
  await page.waitForFunction(
    () => events.some((event) => event.type === "output_audio_buffer.stopped"),
    undefined,
    { timeout: 30_000 },
  );
  const { events, levels } = await page.evaluate(() => ({ events, levels }));
  console.log(JSON.stringify({ location, events, levels, problems }));
} finally {
  await browser.close();
}
