// Uses the studio as a person would: enters by the link, rehearses, watches, finds, repeats, is refused; and looks at it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import chromium from "@sparticuz/chromium";
import { chromium as playwright } from "playwright-core";
import { watched } from "./watch.mjs";

const { PYTHON, ROOT, SCRATCH, SHOTS } = process.env;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const DESK = { width: 1440, height: 900 }, PHONE = { width: 390, height: 844 };
const closing = [];
// These come for a host of another kind: the first two die with a second window, the others let a page do what ours must not.
const UNWANTED = ["--single-process", "--no-zygote", "--disable-web-security", "--allow-running-insecure-content"];

async function main() {
  const browser = await chromium.executablePath()
    .then(executablePath => playwright.launch({ executablePath, args: chromium.args.filter(one => !UNWANTED.includes(one)), headless: true }))
    .catch(error => { throw Object.assign(error, { noBrowser: true }) });
  closing.push(() => browser.close());
  const step = (name, work) => work().then(() => console.log(`ok  ${name}`));

  // Opens a context of its own; whatever the policy refuses or a script throws is a failure at its end.
  const visit = async (link, { viewport = DESK, colorScheme = "light", ...more } = {}) => {
    const context = await browser.newContext({ viewport, colorScheme, ...more });
    const page = await context.newPage();
    // A guard against a page that hangs; under load a first visit waits for the pictures of twenty clips to be made.
    page.setDefaultTimeout(180_000);
    const refused = [];
    page.on("console", line => /Content Security Policy/.test(line.text()) && refused.push(line.text()));
    page.on("pageerror", error => refused.push(String(error)));
    if (link) await page.goto(link);
    if (link) await page.waitForURL("**/studio/");
    closing.push(() => context.close());
    return { page, context, refused, at: new URL(link || page.url()).origin + "/studio", shot: (name, full = false) => page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: full }) };
  };
  // The policy lets no script in but the studio's own, so the reader of accessibility comes in a context without it.
  const read = async (context, address, name) => {
    const page = await context.newPage();
    await page.goto(address);
    await page.waitForLoadState("load");
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
    const grave = violations.filter(found => ["serious", "critical"].includes(found.impact));
    for (const found of violations) console.log(`    axe ${name}: ${found.impact} ${found.id}: ${found.nodes.map(node => node.target.join(" ")).slice(0, 3).join(" | ")}`);
    assert.deepEqual(grave.map(found => [found.id, found.nodes[0].html, found.nodes[0].failureSummary]), [], name);
    await page.close();
  };

  const first = await alone();
  const { page, shot, refused } = await visit(first.link());

  await step("an empty studio offers a first rehearsal", async () => {
    await page.getByRole("heading", { name: "Make your first clip" }).waitFor();
    await shot("empty-desk");
    await page.setViewportSize(PHONE);
    await shot("empty-phone");
    await page.setViewportSize(DESK);
  });

  await step("it is made and watched, from the order to the playing clip, without a hand", async () => {
    await page.getByRole("textbox", { name: "Scene" }).fill("a paper boat in the rain <b>bold</b>");
    await page.getByRole("button", { name: "Rehearse it for free" }).click();
    await page.waitForURL("**/clips/kv-*");
    await page.locator("#live[data-busy] progress").waitFor();
    await shot("watching-desk");
    await page.locator("video.screen").waitFor();
    await page.evaluate(() => document.querySelector("video.screen").play());
    await page.waitForFunction(() => document.querySelector("video.screen").currentTime > 0.3);
    assert.equal(await page.locator("h1").innerText(), "a paper boat in the rain <b>bold</b>");
    assert.match(await page.locator("main").innerText(), /nothing: a rehearsal/);
  });

  const clip = page.url();
  await step("it is found by its words, and plays under the pointer and the keyboard", async () => {
    await page.getByRole("link", { name: "Clips" }).click();
    await page.locator(".card img").first().waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("lighthouse");
    await page.getByText("No clip matches").waitFor();
    await page.getByRole("searchbox").fill("paper boat");
    await page.locator(".card").waitFor();
    assert.match(page.url(), /\?q=paper\+boat$/);
    await page.locator(".card .frame").hover();
    await page.locator(".card video.on").waitFor();
    await page.waitForFunction(() => document.querySelector(".card video").currentTime > 0.2);
    await page.mouse.move(5, 5);
    await page.waitForFunction(() => !document.querySelector(".card video"));
    await page.locator(".card .frame").focus();
    await page.locator(".card video.on").waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(clip);
  });

  await step("again, but …: the price stands there at once and follows what is changed", async () => {
    await page.getByRole("link", { name: "Again, but …" }).click();
    await page.locator("#panel .sum").waitFor();
    assert.match(await page.locator("#panel").innerText(), /For real it would be \$0\.\d+/);
    const before = await page.locator("#panel").innerText();
    await page.getByRole("textbox", { name: "… say what changes" }).fill("9:16, pro");
    await page.waitForFunction(text => !document.querySelector("#panel").hasAttribute("aria-busy") && document.querySelector("#panel").innerText !== text, before);
    assert.match(await page.locator("#panel .offer").innerText(), /pro · text-to-video · 5 s · 9:16/);
    await shot("again-desk");
  });

  await step("above a limit it is refused with the price, and there is no button", async () => {
    await page.getByRole("textbox", { name: "At most" }).fill("0.10");
    await page.locator("#panel .refused").waitFor();
    assert.match(await page.locator("#panel").innerText(), /more than the limit of \$0\.1[\s\S]*Nothing was charged/);
    assert.equal(await page.locator("#panel button").count(), 0);
    await shot("refused-desk");
  });

  await step("within it it is ordered, once, however often one presses", async () => {
    await page.getByRole("textbox", { name: "At most" }).fill("");
    await page.getByRole("button", { name: "Rehearse for free" }).dblclick();
    await page.waitForURL(address => address.pathname.includes("/clips/") && address.href !== clip);
    await page.locator("video.screen").waitFor();
    assert.equal(await page.evaluate(() => document.querySelector("video.screen").closest(".r9x16") !== null), true);
    await page.getByRole("link", { name: "Clips" }).click();
    await page.locator(".card").nth(1).waitFor();
    assert.equal(await page.locator(".card").count(), 2);
  });

  await step("an order of another program shows by itself", async () => {
    await first.order("a lantern on a river");
    await page.locator(".card").nth(2).waitFor();
    await page.locator(".card:not([data-busy]) .title", { hasText: "a lantern on a river" }).waitFor();
  });

  await step("it works without a script, too", async () => {
    const plain = await visit("", { javaScriptEnabled: false });
    await plain.context.addCookies(await page.context().cookies());
    await plain.page.goto(`${clip.split("/clips/")[0]}/?q=lantern`);
    assert.equal(await plain.page.locator(".card").count(), 1);
    await plain.page.locator(".card a").click();
    await plain.page.getByRole("link", { name: "Again, but …" }).click();
    await plain.page.getByRole("combobox", { name: "Length" }).selectOption("10");
    await plain.page.getByRole("button", { name: "What does it cost?" }).click();
    assert.match(await plain.page.locator("#panel .offer").innerText(), /10 s/);
    await plain.page.getByRole("button", { name: "Rehearse for free" }).click();
    await plain.page.waitForURL("**/clips/kv-*");
  });
  assert.deepEqual(refused, []);

  await step("where machines share the record, a worker makes the clip and it plays from the object store", async () => {
    const [link, store] = await prepared("by_link");
    const { page, at, shot, refused } = await visit(link);
    const asked = [];
    page.on("response", answer => answer.url().startsWith(store) && asked.push([answer.status(), answer.headers()["content-type"]]));
    await page.goto(`${at}/order`);
    await page.getByRole("textbox", { name: "Say it in your words" }).fill("kling 3.0 standard, five seconds, silent, via runapi: a paper boat in the rain");
    await page.getByRole("button", { name: /^Buy for \$0\./ }).click();
    await page.waitForURL("**/clips/kv-*");
    await page.locator("video.screen").waitFor();
    const state = () => page.evaluate(() => { const { currentTime, readyState, error, duration, currentSrc } = document.querySelector("video.screen"); return { currentTime, readyState, error: error && error.message, duration, currentSrc } });
    await page.waitForFunction(() => document.querySelector("video.screen").readyState >= 1);
    const poster = await page.evaluate(async () => { const picture = new Image(); picture.src = document.querySelector("video.screen").poster; await picture.decode(); return picture.naturalWidth });
    assert.equal(poster, 720);
    await shot("by-link-poster-desk");
    await page.evaluate(() => document.querySelector("video.screen").play());
    await page.waitForFunction(() => document.querySelector("video.screen").currentTime > 0.5);
    const playing = await state();
    assert.ok(playing.readyState >= 2 && playing.error === null && Math.abs(playing.duration - 5) < 0.2, JSON.stringify(playing));
    assert.ok(asked.length && asked.every(([status, kind]) => [200, 206].includes(status) && kind === "video/mp4"), JSON.stringify(asked));
    await page.evaluate(() => { const video = document.querySelector("video.screen"); video.pause(); video.currentTime = 4.5 });
    await page.waitForFunction(() => { const video = document.querySelector("video.screen"); return !video.seeking && video.currentTime === 4.5 && video.readyState >= 2 });
    await shot("by-link-desk");
    const [kept] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
    assert.match(kept.suggestedFilename(), /^\d{4}-\d\d-\d\d-.*paper-boat.*\.mp4$/);
    await page.getByRole("link", { name: "Clips" }).click();
    await page.locator(".card .frame").hover();
    await page.waitForFunction(() => document.querySelector(".card video")?.currentTime > 0.2);
    await shot("by-link-library-desk");
    assert.deepEqual(refused, []);
  });

  const [monthLink, monthFilm] = await prepared("lived_in");
  const origin = new URL(monthLink).origin + "/studio";
  const seen = await visit(monthLink);
  const cookies = await seen.context.cookies();
  await step("a joined film plays on its page, from its first shot to its last", async () => {
    await seen.page.goto(`${origin}/films/${monthFilm}`, { waitUntil: "domcontentloaded" });
    const film = await watched(seen.page, "video.screen");
    assert.ok(Math.abs(film.duration - 13.5) < 0.1 && film.error === null, JSON.stringify(film));
    assert.ok(film.apart.every(distance => distance > 3), JSON.stringify(film.apart));
    await seen.page.evaluate(() => document.querySelector("video.screen").play());
    await seen.page.waitForFunction(() => document.querySelector("video.screen").ended, null, { timeout: 180_000 });
    await seen.shot("film-played-desk");
  });
  await step("a studio of a month, at a desk and on a phone, in light and in dark", async () => {
    await seen.page.goto(`${origin}/`);
    const finished = await seen.page.locator(".card", { hasText: "lighthouse" }).locator("a").getAttribute("href");
    const differs = await seen.page.locator(".card", { hasText: "kite" }).locator("a").getAttribute("href");
    const pages = { library: `${origin}/`, clip: origin.replace("/studio", finished), differs: origin.replace("/studio", differs), films: `${origin}/films`, film: `${origin}/films/${monthFilm}`, redo: `${origin}/films/${monthFilm}/redo?shot=drift`, spend: `${origin}/spend`, again: `${origin}/order?again=${finished.split("/").pop()}`, new: `${origin}/order` };
    for (const [width, viewport] of Object.entries({ desk: DESK, phone: PHONE }))
      for (const colorScheme of ["light", "dark"]) {
        const look = await visit("", { viewport, colorScheme, reducedMotion: "reduce", isMobile: width === "phone", hasTouch: width === "phone" });
        await look.context.addCookies(cookies);
        const axe = await browser.newContext({ viewport, colorScheme, bypassCSP: true });
        await axe.addCookies(cookies);
        for (const [name, address] of Object.entries(pages)) {
          await look.page.goto(address);
          await look.page.evaluate(async () => {
            for (const picture of document.images) picture.loading = "eager";
            await Promise.all([...document.images].map(picture => picture.complete || new Promise(done => { picture.onload = picture.onerror = done })));
          });
          assert.deepEqual(await look.page.evaluate(() => [...document.images].filter(picture => !picture.naturalWidth).map(picture => picture.src)), [], `${name}: pictures`);
          assert.ok(await look.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than ${width}`);
          await look.shot(`${name}-${width}-${colorScheme}`);
          await read(axe, address, `${name} ${width} ${colorScheme}`);
        }
        assert.deepEqual(look.refused, []);
        await look.context.close();
        await axe.close();
      }
  });
  await step("above a dollar the button waits for a tick", async () => {
    await seen.page.goto(`${origin}/order`);
    await seen.page.getByRole("textbox", { name: "Say it in your words" }).fill("kling 4k, ten seconds, via runcomfy: a red kite");
    await seen.page.getByRole("button", { name: "Buy for $4.20" }).click();
    assert.match(seen.page.url(), /\/order$/);
    await seen.shot("tick-desk");
    await seen.page.getByRole("checkbox", { name: "Yes, spend this" }).check();
    await seen.page.getByRole("button", { name: "Buy for $4.20" }).click();
    await seen.page.getByText("daily budget").waitFor();
    await seen.shot("budget-desk");
  });
  assert.deepEqual(seen.refused, []);
}

// The studio as a user starts it, without a key.
async function alone() {
  const env = { PATH: process.env.PATH, HOME: SCRATCH, KLING_HOME: join(SCRATCH, "alone"), KLING_OUTPUT_DIR: join(SCRATCH, "clips"), KLING_SANDBOX_SECONDS: "3" };
  const child = spawn(PYTHON, ["-m", "mcp_server", "studio", "--port", "0", "--no-open"], { cwd: ROOT, env, stdio: ["ignore", "inherit", "pipe"] });
  closing.push(() => child.kill("SIGTERM"));
  let link = "";
  await new Promise((told, failed) => {
    createInterface({ input: child.stderr }).on("line", line => {
      const found = /http\S+code=\S+/.exec(line);
      if (found) { link = found[0]; told() } else console.error(line);
    });
    child.on("exit", code => failed(Error(`the studio ended with ${code}`)));
  });
  const order = words => new Promise(done => spawn(PYTHON, ["-m", "mcp_server", "generate", "--prompt", words, "--yes"], { cwd: ROOT, env, stdio: "ignore" }).on("exit", done));
  return { link: () => link, order };
}

// A studio that a program of ours prepares; the words of the line it says when it is ready.
async function prepared(name) {
  const child = spawn(PYTHON, [join(ROOT, `tests/studio/browser/${name}.py`), join(SCRATCH, name)], { cwd: ROOT, stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise(done => child.on("exit", done));
  closing.push(() => { child.stdin.end(); return ended });
  const line = await new Promise((told, failed) => {
    createInterface({ input: child.stdout }).once("line", told);
    ended.then(code => failed(Error(`${name} ended with ${code}`)));
  });
  return line.split(" ");
}

let code = 0;
try { await main() } catch (error) { console.error(error); code = error.noBrowser ? 77 : 1 }
for (const close of closing.reverse()) await Promise.resolve(close()).catch(() => {});
process.exit(code);
