"use strict";

// Everything that is shown is put in as text: reasons and names are other people's words.

const at = (id) => document.getElementById(id);
let code = "";
let shown = null;

const PURPOSES = {
  reset: "End the trip",
  disable: "Switch the limits off for a time",
  release: "Release a halt",
  init: "Start over with a new state",
  configuration: "Take a looser configuration",
  enroll: "Enrol a warden",
  revoke: "Revoke a warden",
  fund: "Take a place in a fund",
};

async function ask(question, body) {
  let reply;
  try {
    reply = await fetch(`/override/${question}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ code, ...body }),
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
    });
  } catch {
    throw new Error("The daemon does not answer.");
  }
  const said = await reply.json();
  if (!reply.ok) throw new Error(said.detail || `refused (${reply.status})`);
  return said;
}

const say = (text) => { at("said").textContent = text; };

function list(parent, kind, texts) {
  parent.replaceChildren(...texts.map(([tag, text]) => {
    const element = document.createElement(tag || kind);
    element.textContent = text;
    return element;
  }));
}

function show(view) {
  const isNew = shown === null || shown.attempt !== view.attempt || shown.stage !== view.stage;
  const wardens = view.wardens.join("\n");
  const areOthers = shown === null || shown.wardens.join("\n") !== wardens;
  shown = view;
  at("begin").hidden = true;
  at("attempt").hidden = false;
  at("what").textContent = PURPOSES[view.purpose] || view.purpose;
  at("asked").textContent = `Asked by ${view.asked_by}: ${view.reason}`;
  list(at("facts"), "dd", view.facts.flatMap(([label, text]) => [["dt", label], ["dd", text]]));
  list(at("changes"), "li", view.changes.map((text) => [null, text]));
  at("will").hidden = view.changes.length === 0;
  const who = view.given.length ? `: ${view.given.join(", ")}` : "";
  at("progress").textContent = view.needed ? `${view.given.length} of ${view.needed} agreed${who}` : "";
  at("left").textContent = view.end ? "" : `Ends by itself in ${Math.ceil(view.left_s / 60)} min`;
  at("agree").hidden = view.stage !== "agree";
  at("enroll").hidden = view.stage !== "enroll";
  if (areOthers) list(at("warden"), "option", view.wardens.map((name) => [null, name]));
  if (view.end) say(ended(view.end));
  if (isNew) focusOn(view.stage);
}

function ended(end) {
  if (end.done) return `Done: ${end.told}.`;
  return end.granted ? `Agreed to, but NOT done: ${end.told}.` : `Ended, nothing was changed: ${end.told}.`;
}

function focusOn(stage) {
  if (stage === "agree") at(at("warden").options.length > 1 ? "warden" : "otp").focus();
  else if (stage === "enroll") at("first").focus();
  else at("what").focus();
}

// What is clicked or sent by Enter: one thing at a time, and what went wrong is said.
function on(form, action) {
  at(form).addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = at(form).querySelector("button");
    if (button.disabled) return;
    button.disabled = true;
    say("");
    try {
      await action();
    } catch (error) {
      say(error.name === "NotAllowedError" ? "The passkey was not given: try again." : error.message);
    } finally {
      button.disabled = false;
    }
  });
}

async function begin() {
  show(await ask("look", {}));
  poll();
}

async function poll() {
  while (shown.stage !== "ended") {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    try {
      show(await ask("look", {}));
    } catch (error) {
      say(error.message);
    }
  }
}

on("begin", async () => {
  code = at("code").value;
  await begin();
});

on("agree", async () => {
  const attempt = shown.attempt, warden = at("warden").value, otp = at("otp").value;
  const options = await ask("challenge", { attempt, warden });
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const credential = (await navigator.credentials.get({ publicKey })).toJSON();
  at("otp").value = "";
  show(await ask("agree", { attempt, warden, otp, credential }));
});

on("enroll", async () => {
  const attempt = shown.attempt, otp = at("first").value;
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(await ask("registration", { attempt }));
  const credential = (await navigator.credentials.create({ publicKey })).toJSON();
  at("first").value = "";
  show(await ask("enroll", { attempt, otp, credential }));
});

if (!window.PublicKeyCredential || !PublicKeyCredential.parseRequestOptionsFromJSON) {
  say("This browser has no passkeys here: it is too old, or the page was not opened at its own address.");
}

// An address with the code behind # needs no typing. It is taken out, so that no history keeps it.
if (location.hash.length > 1) {
  at("code").value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  at("begin").requestSubmit();
}
