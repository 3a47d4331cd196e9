"use strict";

// All events that the daemon remembers are kept here, and few of them are in the page: a browser that has to lay out ten
// thousand stands still. The rows were written by the daemon, as text.

const EVERY_MS = 2000;
const MOST = 10000;
const STEP = 300;
const at = (id) => document.getElementById(id);
let last = 0;
let lastLive = document.body.dataset.clock;
let rows = [...at("log").children];
let shown = STEP;
const texts = new WeakMap();

function has(row, words) {
  if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
  return words.every((word) => texts.get(row).includes(word));
}

function show() {
  const words = at("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = rows.filter((row) => has(row, words));
  at("log").replaceChildren(...found.slice(0, shown));
  const part = found.length > shown ? `, the newest ${shown} are shown` : "";
  at("filtered").textContent = `${found.length} of ${rows.length} events${part}`;
  at("more").hidden = found.length <= shown;
}

async function read() {
  const live = at("live");
  try {
    const reply = await fetch(`/page/rows?since=${last}`, { cache: "no-store", headers: { Accept: "application/json" } });
    if (reply.status === 403) location.reload();
    if (!reply.ok) throw new Error(`refused (${reply.status})`);
    take(await reply.json());
    live.className = "live on";
    live.textContent = `live, ${lastLive.slice(-8)} UTC`;
  } catch {
    live.className = "live lost";
    live.textContent = `NOT LIVE since ${lastLive} UTC`;
  }
}

function take(news) {
  if (news.rows) {
    const made = document.createElement("template");
    made.innerHTML = news.rows;
    rows = [...made.content.children, ...(last === 0 ? [] : rows)].slice(0, MOST);
    show();
  }
  last = news.last;
  lastLive = news.clock;
}

at("filter").addEventListener("input", () => {
  shown = STEP;
  show();
});
at("more").addEventListener("click", () => {
  shown += STEP;
  show();
});
at("filter-form").addEventListener("submit", (event) => event.preventDefault());
at("filter-form").querySelector("button").hidden = true;
show();
read();
setInterval(() => { if (!document.hidden) read(); }, EVERY_MS);
