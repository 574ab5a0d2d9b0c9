// Looks at the player as a person would: orders through the real server, watches, clicks, and takes pictures.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import chromium from "@sparticuz/chromium";
import * as esbuild from "esbuild";
import { chromium as playwright } from "playwright-core";
import { watched } from "./watch.mjs";

const { PYTHON, ROOT, SCRATCH, SHOTS } = process.env;
const PLAYER = "ui://kling/player.html";
const ALL = { serverTools: {}, serverResources: {}, openLinks: {}, downloadFile: {}, message: {}, updateModelContext: {} };
const closing = [];

async function main() {
  const mcp = await server("5", "quick"), patient = await server("90", "slow");
  const { contents: [{ text: html, _meta }] } = await mcp.readResource({ uri: PLAYER });
  const csp = _meta.ui.csp;
  const bundle = (await esbuild.build({ entryPoints: ["host.mjs"], bundle: true, format: "esm", write: false })).outputFiles[0].text;
  const host = await serve(http.createServer((request, response) => {
    const file = request.url === "/host.js" ? bundle : readFileSync("host.html");
    response.writeHead(200, { "content-type": request.url === "/host.js" ? "text/javascript" : "text/html" }).end(file);
  }), "127.0.0.1");
  const sandbox = await serve(http.createServer((request, response) => {
    const asked = JSON.parse(new URL(request.url, "http://x").searchParams.get("csp") || "{}");
    response.writeHead(200, { "content-type": "text/html", "content-security-policy": policy(asked) }).end(readFileSync("sandbox.html"));
  }), "localhost");
  const browser = await chromium.executablePath()
    .then(executablePath => playwright.launch({ executablePath, args: chromium.args, headless: true }))
    .catch(error => { throw Object.assign(error, { noBrowser: true }) });
  closing.push(() => browser.close());

  const open = async ({ theme = "light", policy: extra = csp, capabilities = ALL, client = mcp, ...given }, answers = {}) => {
    const context = await browser.newContext({ viewport: { width: 560, height: 620 }, ignoreHTTPSErrors: true, colorScheme: theme });
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    const refused = [];
    page.on("console", line => /Content Security Policy/.test(line.text()) && refused.push(line.text()));
    page.on("pageerror", error => refused.push(String(error)));
    await page.exposeFunction("mcp", (what, params) => (answers[params.name || what] || (p => client[what](p)))(params));
    await page.goto(`http://127.0.0.1:${host}/`);
    await soon(page.evaluate(given => window.show(given), { html, csp: extra, theme, capabilities, sandbox: `http://localhost:${sandbox}/`, ...given }));
    const frame = page.frames().find(one => one.parentFrame()?.parentFrame());
    const seen = {
      page, frame, refused,
      text: id => frame.locator(`#${id}`).innerText(),
      until: (id, words) => frame.locator(`#${id}`).filter({ hasText: words }).waitFor({ timeout: 30_000 }),
      log: async what => (await page.evaluate(() => window.log)).filter(row => row.what === what),
      heard: async what => {
        await page.waitForFunction(what => window.log.some(row => row.what === what), what);
        return (await page.evaluate(() => window.log)).find(row => row.what === what);
      },
      shot: name => page.screenshot({ path: join(SHOTS, `${name}.png`) }),
      click: id => frame.locator(`#${id}`).click(),
      hidden: id => frame.locator(`#${id}`).isHidden(),
    };
    closing.push(() => context.close());
    return seen;
  };
  const order = async (more, client = mcp) => {
    const args = { prompt: "a paper boat in the rain", tier: "standard", duration: 5, ...more };
    return { client, args, result: await client.callTool({ name: "generate_video", arguments: args }) };
  };
  const play = (name, work) => work().then(() => console.log(`ok  ${name}`));

  for (const theme of ["light", "dark"])
    await play(`an order is followed to the playing clip (${theme})`, async () => {
      const player = await open({ theme, ...(await order({ provider: "sandbox", prompt: `a paper boat in the rain, ${theme}` })) });
      await player.until("state", /In the queue|Rendering/);
      assert.equal(await player.hidden("bar"), false);
      assert.match(await player.text("prompt"), /paper boat/);
      assert.match(await player.text("facts"), /^simulated, not charged · sandbox · kling-3\.0 · standard · text-to-video · \$0\.\d+/);
      await player.until("time", /0:0[1-9]/);
      await player.shot(`progress-${theme}`);
      await player.until("state", "Ready");
      const video = player.frame.locator("video");
      await video.waitFor();
      await player.frame.waitForFunction(() => document.querySelector("video").currentTime > 0.3, null, { timeout: 20_000 });
      const before = await video.evaluate(v => v.currentTime);
      await player.frame.waitForFunction(t => document.querySelector("video").currentTime > t + 0.2, before, { timeout: 20_000 });
      const facts = await video.evaluate(v => ({ width: v.videoWidth, src: v.currentSrc.slice(0, 10), error: v.error }));
      assert.deepEqual(facts, { width: 1280, src: "data:video", error: null });
      const paint = await player.frame.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(paint, theme === "dark" ? "rgb(28, 28, 30)" : "rgb(255, 255, 255)");
      assert.equal(await player.hidden("bar"), true);
      assert.equal(await player.text("remarks"), "");
      assert.equal((await player.log("resources/read")).length, 1);
      assert.ok((await player.log("tools/call")).every(call => call.name === "get_task"));
      assert.equal((await player.heard("model-context")).state, "succeeded");
      assert.ok((await player.log("size")).at(-1).height > 200);
      assert.deepEqual(player.refused, []);
      await player.shot(`done-${theme}`);
    });

  await play("a film of five shots is followed from its first shot to the joined file, which plays", async () => {
    const shots = ["a paper boat in a gutter", "it tips into a drain", "a dark tunnel, a beam of light", "the sea at dawn", "a white speck on the sea"]
      .map((prompt, at) => ({ id: `shot-${at + 1}`, prompt, duration: 5, begin: ["cut", "continue", "cut", "dissolve", "continue"][at] }));
    const planned = await mcp.callTool({ name: "make_film", arguments: { board: { title: "The paper boat", look: { tier: "standard" }, shots } } });
    const { film_id, total } = planned.structuredContent;
    const args = { film_id, max_cost_usd: Number(total.usd) };
    const player = await open({ args, result: await mcp.callTool({ name: "make_film", arguments: args }) });
    await player.until("state", "Filming");
    assert.equal(await player.text("prompt"), "The paper boat");
    await player.until("facts", /[1-4] of 5 shots made/);
    await player.shot("film-filming");
    await player.frame.locator("#state").filter({ hasText: "Ready" }).waitFor({ timeout: 240_000 });
    await player.frame.locator("video").waitFor();
    const film = await watched(player.frame, "video");
    // Five times five seconds, less the half second in which one dissolves into the next.
    assert.ok(Math.abs(film.duration - 24.5) < 0.1 && film.error === null && film.width > 0, JSON.stringify(film));
    assert.ok(film.apart.every(distance => distance > 3), JSON.stringify(film.apart));
    assert.match(await player.text("facts"), /5 of 5 shots made/);
    assert.equal((await player.text("remarks")).split("\n").filter(line => / · There| · Ready/.test(line)).length, 5);
    assert.deepEqual(player.refused, []);
    await player.shot("film-done");
  });

  await play("the policy stands: nothing else can be loaded or called", async () => {
    const player = await open({ ...(await order({ provider: "sandbox" })) });
    const outcome = await player.frame.evaluate(async () => {
      const broken = new Promise(done => addEventListener("securitypolicyviolation", event => done(event.violatedDirective)));
      const image = new Image();
      image.src = "https://elsewhere.test/x.png";
      return { blocked: await broken, fetched: await fetch("https://elsewhere.test/").then(() => "yes", () => "no") };
    });
    assert.deepEqual(outcome, { blocked: "img-src", fetched: "no" });
  });

  await play("cancel asks twice, then cancels", async () => {
    const player = await open({ ...(await order({ provider: "sandbox", prompt: "a slow river" }, patient)) });
    await player.until("state", "In the queue");
    await player.click("cancel");
    assert.equal(await player.text("cancel"), "Really cancel");
    assert.equal((await player.log("tools/call")).filter(call => call.name === "cancel_task").length, 0);
    await player.shot("cancel-asked");
    await player.click("cancel");
    await player.until("state", "Cancelled");
    assert.equal(await player.hidden("cancel"), true);
    await player.shot("cancelled");
  });

  await play("again names the price, then buys the same and follows it", async () => {
    const { args, result } = await order({ provider: "sandbox", prompt: "a lighthouse", idempotency_key: "one" });
    const player = await open({ args, result });
    await player.until("state", "Ready");
    await player.click("again");
    assert.match(await player.text("again"), /^Buy again: \$0\.42$/);
    await player.click("again");
    await player.until("state", /In the queue|Rendering/);
    const [bought] = (await player.log("tools/call")).filter(call => call.name === "generate_video");
    assert.deepEqual(bought.arguments, without(args, "idempotency_key"));
    assert.equal(await player.frame.locator("video").isHidden(), true);
    await player.until("state", "Ready");
  });

  const clip = readFileSync(await finishedPath(mcp, order));
  const far = await serve(https.createServer({ key: pem("key"), cert: pem("cert") }, (request, response) => ranged(request, response, clip)), "localhost");
  const large = {
    task_id: "kv-1", state: "succeeded", provider: "runcomfy", model: "kling-3.0", tier: "4k", mode: "text-to-video", simulated: false,
    prompt: "a large clip", video_url: `https://localhost:${far}/clip.mp4`, video_path: "/home/me/kling-videos/large.mp4", bytes: 20_000_000,
    route: "the lowest known price of 2 offers", differences: ["ordered 5 s silent, got 10 s with sound: billed double"],
    cost: { estimated: { usd: "2.10", currency: "USD" }, settled: { usd: "4.20", currency: "USD", basis: "reported" } },
  };
  const linked = { structuredContent: large, content: [{ type: "resource_link", uri: "file:///large.mp4", name: "large.mp4", mimeType: "video/mp4" }] };

  await play("a large clip plays from where it is, and opens there", async () => {
    const player = await open({ policy: { resourceDomains: [`https://localhost:${far}`] }, args: { prompt: "a large clip" }, result: linked });
    await player.frame.waitForFunction(() => document.querySelector("video").currentTime > 0.3, null, { timeout: 20_000 });
    assert.match(await player.text("facts"), /\$4\.20 \(quoted \$2\.10\)/);
    assert.match(await player.text("remarks"), /billed double/);
    assert.equal((await player.log("resources/read")).length, 0);
    await player.click("open");
    assert.equal((await player.heard("open-link")).url, large.video_url);
    await player.shot("large-differs");
    assert.deepEqual(player.refused, []);
  });

  await play("a clip the policy does not allow is named by its path, and can be downloaded", async () => {
    const { openLinks, ...capabilities } = ALL;
    const player = await open({ capabilities, args: { prompt: "a large clip" }, result: linked });
    await player.until("remarks", "cannot be shown here. /home/me/kling-videos/large.mp4");
    assert.equal(await player.hidden("video"), true);
    await player.click("open");
    assert.equal((await player.heard("download-file")).contents[0].uri, "file:///large.mp4");
    await player.shot("not-shown");
  });

  await play("a failure says why; without the order's words the chat is asked to make it again", async () => {
    const failed = { ...large, state: "failed", video_url: null, error: { what: "RunComfy could not make the clip", money: "not_spent" } };
    const player = await open({ args: { task_id: "kv-1" }, result: { structuredContent: failed, content: [] } });
    assert.equal(await player.text("state"), "Failed");
    assert.match(await player.text("remarks"), /could not make the clip/);
    await player.click("again");
    await player.click("again");
    assert.match((await player.heard("message")).content[0].text, /kv-1/);
    await player.shot("failed");
  });

  await play("a host that can do nothing gets no buttons", async () => {
    const player = await open({ capabilities: {}, args: { prompt: "x" }, result: { structuredContent: { ...large, state: "running", progress: 40 }, content: [] } });
    assert.equal(await player.text("state"), "Rendering 40 %");
    for (const id of ["again", "cancel", "open"]) assert.equal(await player.hidden(id), true);
    await player.shot("bare");
  });

  await play("taken down, it asks no more", async () => {
    let asked = 0;
    const running = { structuredContent: { ...large, state: "running", poll_after_s: 1 }, content: [] };
    const player = await open({ result: running }, { get_task: () => { asked++; return running } });
    await player.heard("tools/call");
    await player.page.evaluate(() => window.bridge.teardownResource({}));
    const before = asked;
    await player.page.waitForTimeout(2500);
    assert.equal(asked, before);
  });
}

async function server(seconds, name) {
  const client = new Client({ name: "see", version: "1" });
  const env = { PATH: process.env.PATH, HOME: SCRATCH, KLING_HOME: join(SCRATCH, name), KLING_OUTPUT_DIR: join(SCRATCH, "clips"), KLING_SANDBOX_SECONDS: seconds };
  await client.connect(new StdioClientTransport({ command: PYTHON, args: ["-m", "mcp_server"], env, cwd: ROOT, stderr: "inherit" }));
  closing.push(() => client.close());
  return client;
}

// As the specification builds it from `_meta.ui.csp`.
function policy({ resourceDomains = [], connectDomains = [] }) {
  const more = resourceDomains.join(" ");
  return [
    "default-src 'none'", `script-src 'self' 'unsafe-inline' ${more}`, `style-src 'self' 'unsafe-inline' ${more}`,
    `img-src 'self' data: ${more}`, `media-src 'self' data: ${more}`, `connect-src ${connectDomains.join(" ") || "'none'"}`,
    "frame-src 'self'", "object-src 'none'", "base-uri 'self'",
  ].join("; ");
}

function ranged(request, response, data) {
  const [, from = 0, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range || "") || [];
  const start = Number(from), end = to ? Number(to) : data.length - 1;
  response.writeHead(request.headers.range ? 206 : 200, {
    "content-type": "video/mp4", "accept-ranges": "bytes", "content-length": end - start + 1,
    ...(request.headers.range && { "content-range": `bytes ${start}-${end}/${data.length}` }),
  }).end(data.subarray(start, end + 1));
}

async function finishedPath(mcp, order) {
  const { result } = await order({ provider: "sandbox", prompt: "a clip for another origin" });
  let task = result.structuredContent;
  while (task.state !== "succeeded")
    task = (await mcp.callTool({ name: "get_task", arguments: { task_id: task.task_id, wait_s: 20 } })).structuredContent;
  return task.video_path;
}

// A page that never answers must not take the whole run with it.
const soon = work => Promise.race([work, new Promise((_, no) => setTimeout(no, 30_000, new Error("the page did not answer in 30 s")).unref())]);
const without = (object, name) => Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));
const pem = name => readFileSync(join(SCRATCH, `${name}.pem`));
function serve(server, address) {
  closing.push(() => { server.closeAllConnections(); server.close() });
  return new Promise(done => server.listen(0, address, () => done(server.address().port)));
}

let code = 0;
try { await main() } catch (error) { console.error(error); code = error.noBrowser ? 77 : 1 }
for (const close of closing.reverse()) await Promise.resolve(close()).catch(() => {});
process.exit(code);
