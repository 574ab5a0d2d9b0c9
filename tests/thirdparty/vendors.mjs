// fal's and Replicate's own npm clients against the sandbox: `node vendors.mjs FAL_URL REPLICATE_URL`.
import assert from "node:assert/strict";
import { createFalClient } from "@fal-ai/client";
import Replicate, { validateWebhook } from "replicate";

const [falUrl, replicateUrl] = process.argv.slice(2);
const TEXT = "fal-ai/kling-video/v3/standard/text-to-video";
const PICTURE = "fal-ai/kling-video/v3/standard/image-to-video";
const KLING = "kwaivgi/kling-v3-video";

// Its addresses are fixed; only they are told to be elsewhere.
const elsewhere = (input, init) => fetch(String(input).replace(/^https:\/\/(queue|rest)(\.alpha)?\.fal\.(run|ai)/, falUrl), init);
const fal = createFalClient({ credentials: "sandbox-npm", fetch: elsewhere });
const stranger = createFalClient({ credentials: "nonsense", fetch: elsewhere });

async function isClip(url) {
  const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
  assert.equal(bytes.subarray(4, 8).toString(), "ftyp");
}

const input = { prompt: "a paper boat", duration: "5", generate_audio: false };
const seen = [];
const made = await fal.subscribe(TEXT, { input, pollInterval: 50, onQueueUpdate: (update) => seen.push(update.status) });
await isClip(made.data.video.url);
assert.equal(seen.at(-1), "COMPLETED");
assert.deepEqual((await fal.queue.result(TEXT, { requestId: made.requestId })).data, made.data);
console.log("ok  @fal-ai/client orders, follows and fetches");

const picture = await fal.storage.upload(new Blob(["\x89PNG not really"], { type: "image/png" }));
const second = await fal.subscribe(PICTURE, { input: { ...input, start_image_url: picture }, pollInterval: 50 });
await isClip(second.data.video.url);
console.log("ok  @fal-ai/client uploads a picture and orders from it");

await assert.rejects(fal.queue.submit(TEXT, { input: { ...input, duration: "99" } }), (error) => error.status === 422);
await assert.rejects(stranger.queue.submit(TEXT, { input }), (error) => error.status === 401);
const waiting = await fal.queue.submit(TEXT, { input });
await fal.queue.cancel(TEXT, { requestId: waiting.request_id });
console.log("ok  @fal-ai/client understands refusals and cancels");

const replicate = new Replicate({ auth: "sandbox-npm", baseUrl: `${replicateUrl}/v1` });
const order = { prompt: "a paper boat", mode: "standard", duration: 5, generate_audio: false };
const prediction = await replicate.predictions.create({ model: KLING, input: order });
const done = await replicate.wait(prediction, { interval: 50 });
assert.equal(done.status, "succeeded");
await isClip(done.output);
const page = await replicate.predictions.list();
assert.deepEqual(page.results[0].input, order);
console.log("ok  replicate orders, follows, lists and fetches");

await assert.rejects(replicate.predictions.create({ model: KLING, input: { ...order, duration: 99 } }), /422/);
const other = await replicate.predictions.create({ model: KLING, input: order });
await replicate.predictions.cancel(other.id);
assert.ok(["canceled", "starting", "processing"].includes((await replicate.predictions.get(other.id)).status));
const model = await replicate.models.get("kwaivgi", "kling-v3-video");
assert.deepEqual(model.latest_version.openapi_schema.components.schemas.Input.properties.mode.enum, ["standard", "pro", "4k"]);
// The example of docs.svix.com, "Verifying webhooks manually".
assert.ok(
  await validateWebhook({
    id: "msg_loFOjxBNrRLzqYUf",
    timestamp: "1731705121",
    body: `{"event_type":"ping","data":{"success":true}}`,
    signature: "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    secret: "whsec_plJ3nmyCDGBKInavdOK15jsl",
  }),
);
console.log("ok  replicate understands refusals, cancels and reads a schema");
