"use strict";

// The page is whole without this script, which keeps it up to date: it puts in parts that the daemon has written, in
// which everybody's words are text already. The daemon's clock counts, never the browser's.

const SILENT_MS = 8000;
const AGAIN_MS = 3000;
const UNSEEN_MS = 10000;

const at = (id) => document.getElementById(id);
const page = document.body.dataset;
let mark = page.mark;
let clock = page.clock;
let lastLive = page.clock;
let heard = performance.now();
let isLive = false;
let source = null;
let asking = false;
let asked = 0;
let ended = false;
let answered = performance.now();
let line = page.line;
const sending = new Set();

// --- putting in what is new -------------------------------------------------------------------------

function put(name, html) {
  const part = at(name);
  if (part === null) return;
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  const scrolled = new Map([...part.querySelectorAll(".scroll")].map((box) => [box.id, [box.scrollLeft, box.scrollTop]]));
  const opened = new Set([...part.querySelectorAll("details[open]")].map((details) => details.id));
  part.innerHTML = html;
  for (const [id, [left, top]] of scrolled) at(id)?.scrollTo(left, top);
  for (const id of opened) at(id)?.setAttribute("open", "");
  if (focused) at(focused)?.focus({ preventScroll: true });
}

function take(news) {
  mark = news.mark;
  clock = news.clock;
  ended = false;
  for (const [name, html] of Object.entries(news.parts)) put(name, html);
  filter();
  if (news.line !== line) {
    line = news.line;
    at(news.tone === "bad" ? "alarm" : "said").textContent = line;
  }
  page.tone = news.tone;
  document.title = `${news.word} - risk-daemon`;
  const form = at("ack-form");
  if (form !== null) form.hidden = !news.standing;
}

// --- hearing of it ----------------------------------------------------------------------------------

function hears(time) {
  heard = performance.now();
  clock = time;
  lastLive = time;
  answered = heard;
  isLive = true;
  say();
}

function listen() {
  if (source !== null || document.hidden) return;
  source = new EventSource(`/page/live?since=${encodeURIComponent(mark)}`);
  const mine = source;
  mine.addEventListener("state", (event) => {
    take(JSON.parse(event.data));
    hears(clock);
  });
  mine.addEventListener("beat", (event) => hears(event.data));
  mine.addEventListener("over", () => location.reload());
  mine.addEventListener("end", () => {
    ended = true;
    stop();
    lose();
  });
  mine.addEventListener("error", () => {
    stop();
    setTimeout(listen, AGAIN_MS);
  });
}

function stop() {
  if (source !== null) source.close();
  source = null;
}

async function ask() {
  if (asking) return;
  asking = true;
  asked = performance.now();
  try {
    const reply = await fetch(`/page/state?since=${encodeURIComponent(mark)}`, {
      cache: "no-store",
      headers: { Accept: "application/json" },
    });
    if (reply.status === 403) location.reload();
    if (reply.ok) {
      take(await reply.json());
      answered = performance.now();
    }
    if (source === null) listen();
  } catch {
    // nobody answers: the line above says since when
  } finally {
    asking = false;
    say();
  }
}

function lose() {
  isLive = false;
  say();
}

function isDead() {
  return ended || performance.now() - answered > 2 * SILENT_MS;
}

// What is last known of a daemon that does not answer must look like nothing that holds now.
function mourn() {
  const dead = at("dead");
  if (dead === null) return;
  const words = ended
    ? "The guard has ended: nothing is guarded, and the gate is shut. Below is its last word."
    : `The guard has not answered since ${clock} UTC: take it that nothing is guarded. The gate shuts by itself then; no order is cancelled by that. Below is what was last known.`;
  if (isDead() === dead.hidden) {
    dead.hidden = !isDead();
    dead.textContent = isDead() ? words : "";
  }
  document.body.classList.toggle("dead", isDead());
  stopActing();
}

// A button that nobody hears must not look as if it did something.
function stopActing() {
  for (const why of document.querySelectorAll(".gone")) why.hidden = !isDead();
  for (const button of document.querySelectorAll("#halt-form button, #ack-form button")) {
    button.disabled = isDead() || sending.has(button);
  }
}

function say() {
  mourn();
  const live = at("live");
  live.className = isLive ? "live on" : "live lost";
  if (isLive) {
    live.textContent = `live, ${clock.slice(-8)} UTC`;
    return;
  }
  const why = ended ? ": the daemon has ended, this is its last word" : "";
  const since = clock === lastLive ? "" : `, as of ${clock} UTC`;
  live.textContent = `NOT LIVE since ${lastLive} UTC${why}${since}`;
}

// Silence is what a proxy that keeps everything back sounds like: then the page asks by itself.
setInterval(() => {
  const now = performance.now();
  if (isLive && now - heard > SILENT_MS) lose();
  const every = document.hidden ? UNSEEN_MS : AGAIN_MS;
  const isSilent = now - heard > SILENT_MS || document.hidden || ended;
  if (isSilent && now - asked > every) ask();
  mourn();
}, 1000);

// A browser has few connections to one host: a page that nobody sees does not keep one.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    stop();
  } else {
    ask();
    listen();
  }
});
window.addEventListener("pagehide", stop);

// --- the filter -------------------------------------------------------------------------------------

function filter() {
  const words = at("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0, all = 0;
  for (const row of document.querySelectorAll(".filtered tbody tr")) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    shown += row.hidden ? 0 : 1;
    all += 1;
  }
  at("filtered").textContent = words.length ? `${shown} of ${all} rows` : "";
}
at("filter-form").addEventListener("submit", (event) => event.preventDefault());
at("filter").addEventListener("input", filter);
at("filter-form").querySelector("button").hidden = true;

// --- halting and acknowledging ------------------------------------------------------------------------

async function send(form) {
  const reply = await fetch(form.action, {
    method: "POST",
    headers: { Accept: "application/json" },
    body: new URLSearchParams(new FormData(form)),
    cache: "no-store",
  });
  const said = await reply.json();
  return [reply.ok, said.said || said.detail || `refused (${reply.status})`];
}

function on(id) {
  const form = at(id);
  if (form === null) return;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.disabled) return;
    sending.add(button);
    button.disabled = true;
    const said = at("halt-said");
    said.textContent = "";
    try {
      const [isDone, words] = await send(form);
      said.textContent = words;
      if (isDone) form.reset();
    } catch {
      said.textContent = "The daemon did not answer: whether it was done is not known. Look at its state.";
    } finally {
      sending.delete(button);
      stopActing();
    }
  });
}
on("halt-form");
on("ack-form");

filter();
listen();
