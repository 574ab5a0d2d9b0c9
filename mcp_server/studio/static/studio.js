// What a page cannot do by itself: play under the pointer, search while one types, copy, go on, and stay up to date.
const root = document.body.dataset.root;
const told = document.getElementById("told");
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
document.documentElement.classList.add("scripted");

const say = words => { told.textContent = ""; setTimeout(() => { told.textContent = words }, 50) };
const part = (address, more = {}) => fetch(address, { headers: { "x-studio-part": "1" }, ...more });

// A clip plays in its frame while the pointer or the keyboard is on it.
let playing = null;
function play(frame) {
  if (calm || !frame || playing?.frame === frame) return;
  stop();
  const video = Object.assign(document.createElement("video"), { muted: true, loop: true, playsInline: true, tabIndex: -1 });
  video.setAttribute("aria-hidden", "true");
  video.src = frame.dataset.play;
  video.addEventListener("playing", () => video.classList.add("on"), { once: true });
  frame.querySelector(".caption").before(video);
  playing = { frame, video };
  video.play().catch(() => {});
}
function stop() {
  if (!playing) return;
  const { video } = playing;
  playing = null;
  video.pause();
  video.removeAttribute("src");
  video.load();
  video.remove();
}
const framed = event => event.target.closest?.("[data-play]");
document.addEventListener("pointerover", event => event.pointerType === "mouse" && (framed(event) ? play(framed(event)) : stop()));
document.addEventListener("focusin", event => framed(event) ? play(framed(event)) : stop());
document.addEventListener("pointerleave", stop);

// Copying.
document.addEventListener("click", async event => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const word = button.textContent;
  await navigator.clipboard.writeText(button.dataset.copy).then(() => { button.textContent = "Copied"; say("Copied") }, () => { button.textContent = "Not allowed here" });
  setTimeout(() => { button.textContent = word }, 1500);
});

// Forms whose answer is not a page to go to.
document.addEventListener("submit", async event => {
  const form = event.target;
  if (!("stay" in form.dataset)) return;
  event.preventDefault();
  const answer = await part(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "manual" });
  if (answer.type !== "opaqueredirect" && !answer.ok) say((await answer.text()).replace(/<[^>]*>/g, " ").trim());
});

// Searching while one types; the address says what is looked for.
const find = document.getElementById("find"), grid = document.getElementById("grid");
let waiting, asked = 0;
async function look() {
  const words = new URLSearchParams([...new FormData(find)].filter(([, value]) => value));
  const address = `${root}/${words.size ? `?${words}` : ""}`, mine = ++asked;
  const answer = await part(address);
  const text = await answer.text();
  if (mine !== asked) return;
  if (!answer.ok) return say("This cannot be looked for");
  grid.innerHTML = text;
  history.replaceState(null, "", address);
  const count = grid.querySelectorAll(".card").length;
  say(count === 1 ? "One clip" : `${count || "No"} clips`);
  near();
  watch();
}
find?.addEventListener("input", event => { clearTimeout(waiting); waiting = setTimeout(look, event.target.type === "search" ? 220 : 0) });
find?.addEventListener("submit", event => { event.preventDefault(); clearTimeout(waiting); look() });
document.addEventListener("keydown", event => {
  if (event.key !== "/" || event.target.closest("input, textarea, select") || !find) return;
  event.preventDefault();
  find.q.focus();
});

// Older clips follow when one comes near the end.
async function further(link) {
  if (link.dataset.asked) return;
  link.dataset.asked = "1";
  const focused = document.activeElement === link;
  const box = document.createElement("div");
  box.innerHTML = await (await part(link.href)).text();
  const first = box.querySelector(".card a");
  for (const day of box.querySelectorAll(".day")) {
    const same = grid.querySelector(`.day[data-day="${day.dataset.day}"] .row`);
    if (same) for (const card of day.querySelectorAll(".card")) same.querySelector(".fill").before(card);
    else link.parentElement.before(day);
  }
  const next = box.querySelector(".more");
  if (next) link.parentElement.replaceWith(next); else link.parentElement.remove();
  if (focused) first?.focus();
  near();
  watch();
}
document.addEventListener("click", event => {
  const link = event.target.closest("[data-more]");
  if (!link || event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  further(link);
});
const seen = new IntersectionObserver(rows => rows.forEach(row => row.isIntersecting && further(row.target)), { rootMargin: "600px" });
function near() { for (const link of document.querySelectorAll("[data-more]:not([data-asked])")) seen.observe(link) }
near();

// An order's price follows what is said; buying takes one press.
const order = document.getElementById("order"), panel = document.getElementById("panel");
let pricing, priced = 0;
async function price() {
  if (![...new FormData(order)].some(([name, value]) => value && name !== "csrf")) return;
  const mine = ++priced;
  panel.setAttribute("aria-busy", "true");
  const answer = await part(order.action, { method: "POST", body: new URLSearchParams(new FormData(order)) }).catch(() => null);
  if (mine !== priced) return;
  panel.removeAttribute("aria-busy");
  panel.innerHTML = answer ? await answer.text() : "";
  if (!answer) say("The studio does not answer");
}
order?.addEventListener("input", () => { clearTimeout(pricing); priced++; panel.setAttribute("aria-busy", "true"); pricing = setTimeout(price, 450) });
order?.addEventListener("submit", event => { event.preventDefault(); clearTimeout(pricing); price() });
document.addEventListener("submit", event => {
  if (!("once" in event.target.dataset)) return;
  if (event.target.dataset.sent || panel?.hasAttribute("aria-busy")) return event.preventDefault();
  event.target.dataset.sent = "1";
  event.target.querySelector("button").setAttribute("aria-disabled", "true");
});
addEventListener("pageshow", event => event.persisted && location.reload());

// Kept up to date by one stream; a page nobody looks at holds none, for a browser has few lines to a server.
let stream = null;
function watch() {
  stream?.close();
  stream = null;
  const shown = document.querySelector("[data-as]");
  if (!shown || document.hidden) return;
  const as = shown.dataset.as, ids = [...document.querySelectorAll("[data-busy][data-task]")].map(busy => busy.dataset.task);
  const newest = as === "card" && !location.search ? grid.querySelector(".card")?.dataset.task || "none" : "";
  if (!ids.length && !newest) return;
  stream = new EventSource(`${root}/events?${new URLSearchParams({ as, ids: ids.slice(0, 100).join(","), newest })}`);
  stream.onmessage = ({ data }) => take(as, JSON.parse(data));
}
function take(as, fact) {
  if (fact.new) return find && scrollY < 300 && !document.querySelector("[data-asked]") ? look() : find ? fresh() : location.reload();
  if (as !== "card") {
    const live = document.getElementById("live");
    if (fact.over) return live.hasAttribute("data-busy") && location.reload();
    if (live.contains(document.activeElement)) return;
    live.innerHTML = fact.html;
    return;
  }
  const old = grid.querySelector(`[data-task="${fact.id}"]`);
  if (!old) return;
  const focused = old.contains(document.activeElement);
  old.outerHTML = fact.html;
  const card = grid.querySelector(`[data-task="${fact.id}"]`);
  if (focused) card.querySelector("a").focus();
  if (fact.over) say(`${card.querySelector(".title").textContent}: ${fact.state}`);
}
function fresh() {
  if (document.getElementById("fresh")) return;
  const button = Object.assign(document.createElement("button"), { id: "fresh", className: "strong", textContent: "New clips" });
  button.onclick = () => { scrollTo(0, 0); location.reload() };
  grid.before(button);
}
document.addEventListener("visibilitychange", watch);
// Who is on the way to another page must not be called back by what happens here meanwhile.
addEventListener("beforeunload", () => stream?.close());
watch();
