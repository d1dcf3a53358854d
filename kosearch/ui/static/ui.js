// The page of `kosearch ui`. What documents say is only ever put into text nodes.
"use strict";

// What the page says, in English and in Korean.
const WORDS = {
  question: ["Search your documents", "내 문서에서 찾기"],
  status: ["Index", "색인"],
  help: ["Keys", "단축키"],
  results: ["Results", "결과"],
  filters: ["Narrow down", "좁히기"],
  type: ["Type", "종류"],
  year: ["Year", "해"],
  inFolder: ["Folder", "폴더"],
  order: ["Order", "순서"],
  best: ["best first", "관련도순"],
  newest: ["newest first", "최신순"],
  group: ["One per document", "문서별로 묶기"],
  more: ["More results", "결과 더 보기"],
  preview: ["Preview", "미리보기"],
  close: ["Close", "닫기"],
  back: ["Back", "뒤로"],
  page: ["p. {0}", "{0}쪽"],
  lines: ["line {0}", "{0}행"],
  of: ["of {0}", "/ {0}"],
  found: ["{0} results", "결과 {0}개"],
  none: ["Nothing found.", "찾은 것이 없습니다."],
  words: ["by words; meaning follows…", "낱말로 찾은 결과, 뜻으로 찾는 중…"],
  terms: ["Passages with each word: {0}", "낱말이 있는 구절 수: {0}"],
  also: ["Same text in {0} more places", "같은 글이 {0}곳에 더 있음"],
  matching: ["{0} more passages here", "이 문서에 {0}개 더"],
  score: ["Why", "이유"],
  meaning: ["meaning", "뜻"],
  word: ["words", "낱말"],
  rank: ["no. {0}", "{0}위"],
  sure: ["confidence {0}", "확신 {0}"],
  total: ["score {0}", "점수 {0}"],
  open: ["Open file", "파일 열기"],
  opened: ["Opened.", "열었습니다."],
  similar: ["Similar", "비슷한 문서"],
  likeThis: ["Like “{0}”", "비슷한 문서: {0}"],
  text: ["Text", "글"],
  previous: ["Previous page", "앞 쪽"],
  next: ["Next page", "다음 쪽"],
  larger: ["Larger", "크게"],
  smaller: ["Smaller", "작게"],
  changed: ["changed since indexed", "색인한 뒤 바뀜"],
  gone: ["file is gone", "파일이 없어짐"],
  elsewhere: ["on another machine", "다른 컴퓨터에 있음"],
  ocr: ["read from a picture", "그림에서 읽음"],
  weak: ["weak", "약함"],
  earlier: ["… earlier text", "… 앞의 글"],
  later: ["later text …", "뒤의 글 …"],
  leftOut: ["{0} more rows", "행 {0}개 더"],
  away: ["The server does not answer; trying again…", "서버가 답하지 않습니다. 다시 시도합니다…"],
  again: ["The server is back.", "서버가 돌아왔습니다."],
  over: ["This page belongs to a server that has ended. Run kosearch ui, and open the address that it prints.", "이 화면의 서버는 끝났습니다. kosearch ui를 다시 실행하고 그 주소를 여십시오."],
  refresh: ["Refresh now", "지금 새로 고침"],
  indexing: ["Indexing: {0} of {1} files", "색인하는 중: 파일 {1}개 중 {0}개"],
  embedding: ["Learning what passages mean: {0} of {1}", "구절의 뜻을 익히는 중: {1}개 중 {0}개"],
  pictures: ["Reading scans and pictures: {0} of {1}. All else can be searched.", "스캔과 그림을 읽는 중: {1}개 중 {0}개. 나머지는 찾을 수 있습니다."],
  walking: ["Looking for files: {0}", "파일을 찾는 중: {0}"],
  done: ["Done: {0} added, {1} changed, {2} removed, {3} skipped.", "끝남: 추가 {0}, 바뀜 {1}, 없앰 {2}, 건너뜀 {3}."],
  noFolder: ["There is no such folder. Type the whole path, such as ~/Documents.", "그런 폴더가 없습니다. ~/Documents처럼 경로를 끝까지 적으십시오."],
  add: ["Add a folder", "폴더 추가"],
  folder: ["A folder's path", "폴더의 경로"],
  empty: ["Nothing is indexed yet. Type the path of a folder of documents; they stay where they are.", "아직 색인한 것이 없습니다. 문서가 있는 폴더의 경로를 적으십시오. 문서는 그 자리에 그대로 있습니다."],
  hello: ["Type a question or words. “a phrase”, +must and -not narrow it.", "질문이나 낱말을 적으십시오. “구절”, +꼭, -빼기로 좁힙니다."],
  topics: ["Browse by topic", "주제로 둘러보기"],
  problems: ["Not searchable", "찾을 수 없는 것"],
  documents: ["documents", "문서"],
  passages: ["passages", "구절"],
  files: ["files", "파일"],
  folders: ["folders", "폴더"],
  model: ["model", "모델"],
  last: ["last run", "마지막 색인"],
  size: ["on disk", "디스크"],
  preparing: ["getting ready…", "준비하는 중…"],
};
const KEYS = [
  ["/", "to the question", "질문으로"],
  ["j k", "next, previous result", "다음, 앞 결과"],
  ["Enter", "preview", "미리보기"],
  ["o", "open the file", "파일 열기"],
  ["s", "similar documents", "비슷한 문서"],
  ["← →", "previous, next page", "앞, 다음 쪽"],
  ["+ −", "zoom", "확대, 축소"],
  ["?", "these keys", "이 목록"],
  ["Esc", "close, back to the results", "닫기, 결과로"],
];
const isKorean = (navigator.language || "en").toLowerCase().startsWith("ko");
const PAUSE = 120, COMPOSING = 700, SETTLED = 1200, PING = 30000, RETRY = 1500; // milliseconds
const FIRST = 30, MOST = 150, CHIPS = 6, WEAK = 0.5;

const say = (name, ...values) => WORDS[name][Number(isKorean)].replace(/\{(\d)\}/g, (_, n) => values[n]);
const at = (id) => document.getElementById(id);

// An element with attributes, listeners (on…) and children; strings become text nodes.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((one) => one != null && one !== ""));
  return element;
}

// ── The address: #t=TOKEN&q=…&type=…&folder=…&year=…&sort=date&group=1

const state = { token: "", q: "", type: "", folder: "", year: "", sort: "best", group: "", k: FIRST };
const FIELDS = ["q", "type", "folder", "year", "sort", "group"];

function readAddress() {
  const found = new URLSearchParams(location.hash.slice(1));
  state.token = found.get("t") || state.token;
  for (const name of FIELDS) state[name] = found.get(name) || (name === "sort" ? "best" : "");
  state.k = FIRST;
}

function address() {
  const made = new URLSearchParams({ t: state.token });
  for (const name of FIELDS) if (state[name] && state[name] !== "best") made.set(name, state[name]);
  return "#" + made;
}

function writeAddress(isNew) {
  if (address() === location.hash) return;
  history[isNew ? "pushState" : "replaceState"](null, "", address());
}

// ── The server

class Refused extends Error {}

async function api(path, parameters, options = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters || {})) if (value !== "" && value != null) query.set(name, value);
  const headers = { "X-Kosearch-Token": state.token, ...(options.body ? { "Content-Type": "application/json" } : {}) };
  let reply;
  try {
    reply = await fetch(`/api/${path}?${query}`, { ...options, headers });
  } catch (error) {
    if (error.name !== "AbortError") away();
    throw error;
  }
  if (reply.status === 401) { tell(say("over"), true); throw new Refused(say("over")); }
  if (options.stream && reply.ok) return reply;
  const found = await reply.json().catch(() => ({ error: `${reply.status}`, hint: "" }));
  if (!reply.ok) throw Object.assign(new Refused([found.error, found.hint].filter(Boolean).join(" — ")), { status: reply.status });
  return found;
}

const post = (path, body) => api(path, {}, { method: "POST", body: JSON.stringify(body) });

let retrying = null;
function away() {
  tell(say("away"), true);
  retrying ||= setTimeout(async () => {
    retrying = null;
    try { await api("ping"); } catch { return; }
    tell(say("again"));
    if (state.q) ask(); else begin();
  }, RETRY);
}

function tell(text, isError = false) {
  at("said").textContent = text;
  at("said").classList.toggle("error", isError);
}

function complain(error) {
  if (error.name === "AbortError" || error instanceof TypeError) return; // another question, or nobody there
  tell(error.message, true);
}

// ── Asking, as one types: by words first, then by meaning too

let asking = null, hits = [], answer = null, waiting = 0;

async function ask() {
  clearTimeout(waiting);
  asking?.abort();
  if (!state.q.trim()) { asking = null; begin(); return; }
  const mine = asking = new AbortController();
  const parameters = { q: state.q, type: state.type, folder: state.folder, year: state.year, group: state.group, k: state.k };
  at("busy").classList.add("on");
  const slow = setTimeout(() => mine === asking && tell(say("preparing")), 1500);
  try {
    const lexical = await api("search", { ...parameters, mode: "lexical" }, { signal: mine.signal });
    if (mine !== asking) return;
    if (lexical.hits.length) show(lexical, say("words"));
    const full = await api("search", parameters, { signal: mine.signal });
    if (mine === asking) show(full, "");
  } catch (error) {
    if (mine !== asking) return;
    if (error.status === 404) begin();
    complain(error);
  } finally {
    clearTimeout(slow);
    if (mine === asking) { at("busy").classList.remove("on"); asking = null; }
  }
}

// What somebody types without a rest is one step back.
let isSettled = true, settling = 0;
function keep() {
  writeAddress(isSettled);
  isSettled = false;
  clearTimeout(settling);
  settling = setTimeout(() => { isSettled = true; }, SETTLED);
}

function typed(pause) {
  state.q = at("question").value;
  state.k = FIRST;
  asking?.abort();
  clearTimeout(waiting);
  waiting = setTimeout(() => { keep(); ask(); }, pause);
}

let composing = false;
const LONE = /[\u1100-\u11ff\u3131-\u318e]$/; // a syllable that is only begun
at("question").addEventListener("compositionstart", () => { composing = true; });
at("question").addEventListener("compositionend", () => { composing = false; typed(PAUSE); });
at("question").addEventListener("input", (event) => {
  if (!(composing || event.isComposing)) { typed(PAUSE); return; }
  clearTimeout(waiting);
  asking?.abort();
  // A syllable stays open until the next one begins: who rests on a whole one has typed it.
  if (!LONE.test(at("question").value)) waiting = setTimeout(() => typed(0), COMPOSING);
});
at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (composing) return;
  state.q = at("question").value;
  keep();
  isSettled = true;
  ask();
});

// ── What was found

function show(found, note) {
  const focused = hits[focusedHit()]?.id;
  answer = found;
  hits = found.hits.map((hit, n) => ({ ...hit, n }));
  if (state.sort === "date") hits.sort((one, other) => other.date.localeCompare(one.date) || one.n - other.n);
  at("start").replaceChildren();
  at("bar").hidden = false;
  at("about").hidden = true;
  at("hits").replaceChildren(...hits.map(item));
  at("more").hidden = found.hits.length < state.k || state.k >= MOST;
  if (focused) at("hits").querySelector(`[data-id="${focused}"] .name`)?.focus();
  mark();
  chips(found.hits);
  const counts = (found.terms || []).map((one) => `${one.term} ${one.passages}`).join(", ");
  const said = found.hits.length ? say("found", found.hits.length) : `${say("none")} ${counts ? say("terms", counts) : ""}`;
  tell([said, note, ...(found.warnings || [])].filter(Boolean).join(" · "));
}

function place(hit) {
  if (hit.label) return hit.type === "pdf" ? say("page", hit.label) : hit.label;
  if (hit.page) return say("page", hit.page);
  return hit.lines && !["hwp", "docx", "doc", "xlsx", "xls", "pptx"].includes(hit.type) ? say("lines", hit.lines[0]) : "";
}

function item(hit) {
  const signs = [["changed", "gone", "elsewhere"].includes(hit.state) ? say(hit.state) : "",
    hit.ocr ? say("ocr") : "", hit.confidence < WEAK ? say("weak") : ""].filter(Boolean);
  const title = hit.title && hit.title !== hit.name ? ` · ${hit.title}` : "";
  const where = [place(hit), hit.headings?.at(-1), hit.date, ...signs].filter(Boolean).join(" · ");
  return make("li", { "data-id": hit.id },
    make("button", { type: "button", class: "name", onclick: () => preview(hit) }, hit.member || hit.name),
    make("span", { class: "small" }, title),
    make("div", { class: "place", title: hit.folder }, `${hit.shown}${hit.member ? ` / ${hit.name}` : ""} · ${where}`),
    make("p", { class: "excerpt" }, ...(hit.excerpt || []).map(([text, shared]) => shared ? make("mark", {}, text) : text)),
    make("div", { class: "tools" },
      make("button", { type: "button", onclick: () => open(hit) }, say("open")),
      make("button", { type: "button", onclick: () => similar(hit) }, say("similar")),
      hit.more ? make("span", {}, say("matching", hit.more)) : null,
      hit.also?.length ? make("details", {}, make("summary", {}, say("also", hit.also.length)),
        make("ul", {}, ...hit.also.map((one) => make("li", {}, one)))) : null,
      hit.scores ? make("details", {}, make("summary", {}, say("score")), make("div", {}, why(hit))) : null));
}

function why(hit) {
  const side = (name, said) => hit.scores[name] == null ? null
    : `${said} ${hit.scores[name].toFixed(3)} (${say("rank", hit.ranks[name])})`;
  return [say("total", hit.score.toFixed(3)), side("dense", say("meaning")), side("lexical", say("word")),
    say("sure", hit.confidence.toFixed(2))].filter(Boolean).join(" · ");
}

const tail = (path) => path.split("/").slice(-2).join("/");
// What results are narrowed by: the field, its name, a hit's value, and how a value is shown.
const KINDS = [
  ["folder", "inFolder", (hit) => hit.folder, (value, hit) => tail(hit ? hit.shown : value)],
  ["type", "type", (hit) => hit.type, (value) => value],
  ["year", "year", (hit) => hit.date.slice(0, 4), (value) => value],
];

function chips(found) {
  at("chips").replaceChildren(...KINDS.map(([field, name, of, shown]) => {
    const first = new Map(), counts = new Map(state[field] ? [[state[field], 0]] : []);
    for (const hit of found) {
      if (!of(hit)) continue;
      if (!first.has(of(hit))) first.set(of(hit), hit);
      counts.set(of(hit), (counts.get(of(hit)) || 0) + 1);
    }
    if (counts.size < 2 && !state[field]) return "";
    const most = [...counts].sort((one, other) => other[1] - one[1]).slice(0, CHIPS);
    return make("div", { role: "group", "aria-label": say(name) }, ...most.map(([value, count]) =>
      make("button", { type: "button", title: value, "data-chip": field, "aria-pressed": String(state[field] === value), onclick: () => narrow(field, value) },
        shown(value, first.get(value)), " ", make("span", { class: "count" }, String(count)))));
  }));
}

function narrow(field, value) {
  state[field] = state[field] === value ? "" : value;
  state.k = FIRST;
  writeAddress(true);
  ask();
}

const focusedHit = () => [...at("hits").children].findIndex((one) => one.contains(document.activeElement));

function mark() {
  for (const one of at("hits").children) one.classList.toggle("chosen", Boolean(seen) && one.dataset.id === seen.hit.id);
}

function step(by) {
  const names = [...at("hits").querySelectorAll(":scope > li > .name")];
  if (!names.length) return;
  const now = focusedHit(), last = now < 0 && seen ? hits.findIndex((one) => one.id === seen.hit.id) : now;
  names[Math.min(Math.max(last + by, 0), names.length - 1)].focus();
}

async function similar(hit) {
  asking?.abort();
  asking = null;
  try {
    const found = await api("similar", { index: hit.index, id: hit.id, key: hit.key });
    show(found, "");
    at("more").hidden = true;
    at("about").hidden = false;
    at("about").replaceChildren(make("button", { type: "button", onclick: () => ask() }, say("back")), " ",
      say("likeThis", hit.title || hit.name));
    at("hits").querySelector(".name")?.focus();
  } catch (error) { complain(error); }
}

async function open(hit) {
  try {
    await post("open", { index: hit.index, id: hit.id, key: hit.key, at: String(hit.best?.[0] ?? 0) });
    tell(say("opened"));
  } catch (error) { complain(error); }
}

// ── The preview

let seen = null; // the hit, its document, the page and zoom

async function preview(hit) {
  const mine = seen = { hit, zoom: seen?.zoom || 1, asText: false, caller: document.activeElement };
  mark();
  try {
    mine.document = await api("document", whole(hit));
  } catch (error) { complain(error); return; }
  if (mine !== seen) return;
  mine.page = mine.document.page || 1;
  at("preview").hidden = false;
  draw();
  at("preview").focus();
}

const whole = (hit) => ({ index: hit.index, id: hit.id, key: hit.key, at: hit.best?.[0], to: hit.best?.[1] });

function close() {
  if (!seen) return;
  const { caller, hit } = seen;
  seen = null;
  at("preview").hidden = true;
  mark();
  (at("hits").querySelector(`[data-id="${hit.id}"] .name`) || caller || at("question")).focus();
}

function draw() {
  const { hit, document: shown } = seen;
  const isPicture = shown.view !== "text" && !seen.asText;
  const button = (name, act, sign) => make("button", { type: "button", onclick: act, "aria-label": say(name) }, sign || say(name));
  const paper = make("div", { class: "paper", id: "paper" });
  at("preview").replaceChildren(
    make("div", { class: "head" },
      make("h2", {}, shown.member || shown.name),
      make("div", { class: "small" }, [shown.shown, shown.title, shown.date].filter(Boolean).join(" · ")),
      make("div", { class: "row" },
        isPicture ? button("previous", () => turn(-1), "‹") : null,
        isPicture ? make("span", { id: "number", "aria-live": "polite" }) : null,
        isPicture ? button("next", () => turn(1), "›") : null,
        isPicture ? button("smaller", () => zoom(0.8), "−") : null,
        isPicture ? button("larger", () => zoom(1.25), "+") : null,
        shown.view !== "text" ? make("button", { type: "button", "aria-pressed": String(seen.asText),
          onclick: () => { seen.asText = !seen.asText; draw(); } }, say("text")) : null,
        make("button", { type: "button", onclick: () => open(hit) }, say("open")),
        make("button", { type: "button", onclick: () => similar(hit) }, say("similar")),
        make("button", { type: "button", onclick: close }, say("close")))),
    paper);
  if (isPicture) drawPage(); else drawText(paper, shown);
}

async function drawPage() {
  const mine = seen, number = mine.page, room = at("paper").clientWidth - 32;
  const width = Math.round(Math.min(Math.max(room * mine.zoom * Math.min(devicePixelRatio || 1, 2), 300), 2400));
  let drawn;
  try {
    drawn = await api("page", { ...whole(mine.hit), n: number, width });
  } catch (error) {
    if (mine !== seen) return;
    complain(error);
    mine.asText = true;
    draw();
    return;
  }
  if (mine !== seen || number !== mine.page || mine.asText) return;
  mine.pages = drawn.pages;
  at("number").textContent = `${say("page", number)} ${say("of", drawn.pages)}`;
  const image = make("img", { alt: `${mine.document.name} ${say("page", number)}`, width: drawn.width, height: drawn.height });
  image.src = `data:image/jpeg;base64,${drawn.jpeg}`;
  const sheet = make("div", { class: "sheet" }, image);
  sheet.style.width = `${Math.round(room * mine.zoom)}px`;
  for (const [boxes, name] of [[drawn.boxes, ""], [drawn.best, "best"]]) {
    for (const [left, top, wide, high] of boxes) {
      const box = make("span", { class: name });
      Object.assign(box.style, { left: `${left * 100}%`, top: `${top * 100}%`, width: `${wide * 100}%`, height: `${high * 100}%` });
      sheet.append(box);
    }
  }
  at("paper").replaceChildren(sheet);
  const first = sheet.querySelector("span.best") || sheet.querySelector("span");
  if (first) first.scrollIntoView({ block: "center" });
}

function turn(by) {
  const page = Math.min(Math.max(seen.page + by, 1), seen.pages || seen.page);
  if (page !== seen.page) { seen.page = page; drawPage(); }
}

function zoom(by) {
  seen.zoom = Math.min(Math.max(seen.zoom * by, 0.4), 4);
  drawPage();
}

const runs = (found) => found.map(([text, level]) => level ? make("mark", { class: level > 1 ? "best" : "" }, text) : text);

function drawText(paper, shown) {
  paper.append(shown.before ? make("p", { class: "small" }, say("earlier")) : "");
  for (const block of shown.blocks) paper.append(drawn(block));
  paper.append(shown.after ? make("p", { class: "small" }, say("later")) : "");
  (paper.querySelector("mark.best") || paper.querySelector("mark"))?.scrollIntoView({ block: "center" });
}

function drawn(block) {
  const row = (cells, tag = "td") => make("tr", {}, ...cells.map((cell) => make(tag, {}, ...runs(cell))));
  const lines = () => block.lines.flatMap((line, n) => n ? ["\n", ...runs(line)] : runs(line));
  switch (block.is) {
    case "heading": return make(`h${Math.min(block.level + 2, 6)}`, {}, ...runs(block.runs));
    case "page": return make("div", { class: "small" }, make("hr"), block.label);
    case "code": return make("pre", {}, ...lines());
    case "table": return make("div", { class: "wide", tabindex: "0" }, make("table", {}, make("tbody", {}, ...block.rows.map((cells) => row(cells)))));
    case "grid": return make("div", { class: "wide", tabindex: "0" }, make("table", {},
      make("thead", {}, make("tr", {}, ...block.names.map((name) => make("th", { scope: "col" }, name)))),
      make("tbody", {}, ...block.rows.map((cells) => row(cells)))),
    block.left_out ? make("p", { class: "small" }, say("leftOut", block.left_out)) : "");
    default: return make("p", {}, ...lines());
  }
}

// ── The start, the index, the keys

async function begin() {
  hits = [];
  at("hits").replaceChildren();
  at("chips").replaceChildren();
  at("bar").hidden = at("about").hidden = at("more").hidden = true;
  at("busy").classList.remove("on");
  try {
    const found = await api("status");
    if (state.q.trim()) return;
    tell("");
    const there = found.indexes.filter((one) => one.exists && one.documents);
    if (!there.length) {
      at("start").replaceChildren(make("p", {}, say("empty")), adding(found.indexes[0].name), make("div", { class: "run" }));
      at("start").querySelector("input").focus();
      if (found.run.is === "running") follow();
      return;
    }
    at("start").replaceChildren(make("p", {}, say("hello")), ...there.map((one) => make("p", {},
      `${there.length > 1 ? `${one.name}: ` : ""}${say("documents")} ${one.documents.toLocaleString()} · `,
      make("button", { type: "button", onclick: () => topics(one.name) }, say("topics")))), make("div", { id: "topics" }));
  } catch (error) { complain(error); }
}

async function topics(index) {
  at("topics").replaceChildren(say("preparing"));
  try {
    const found = await api("topics", { index });
    at("topics").replaceChildren(...found.topics.map((one) => make("details", {},
      make("summary", {}, `${one.words.slice(0, 5).join(", ") || one.title} (${one.count})`),
      make("ul", {}, ...one.documents.map((each) => make("li", {},
        make("button", { type: "button", class: "name", onclick: () => preview(each) }, each.title || each.name),
        make("span", { class: "small" }, ` ${each.shown}`)))))));
  } catch (error) { at("topics").replaceChildren(error.message); }
}

function adding(index) {
  const path = make("input", { "aria-label": say("folder"), placeholder: "~/Documents", autocomplete: "off", spellcheck: "false" });
  return make("form", { class: "add", onsubmit: (event) => { event.preventDefault(); run(index, path.value); } },
    path, make("button", {}, say("add")));
}

async function run(index, path = "") {
  try { await post("index", { index, path }); } catch (error) { progress(path && error.status === 400 ? say("noFolder") : error.message); return; }
  follow();
}

async function follow() {
  const reply = await api("progress", {}, { stream: true }).catch(complain);
  if (!reply) return;
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", last = {};
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) break;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const one of events) progressed(last = JSON.parse(one.slice("data: ".length)));
  }
  if (last.is === "done") setTimeout(() => (state.q.trim() ? ask() : begin()), 800);
}

// What a run is at, and how much of that is done.
function stage(now) {
  const stages = [["pictures", now.pictures_done, now.pictures_total], ["indexing", now.done, now.total], ["embedding", now.embedded, now.passages]];
  if (now.walking) return [say("walking", now.total), 0, 0];
  const [name, done, total] = stages.find(([, done, total]) => done < total) || stages[1];
  return [say(name, done, total), done, total];
}

function progressed(now) {
  if (now.is === "running") {
    const [text, done, total] = stage(now);
    progress(text, make("progress", { "aria-label": text, max: Math.max(total, 1), value: now.walking ? null : done }));
  } else if (now.is === "done") progress(say("done", now.added, now.changed, now.removed, now.skipped));
  else if (now.is === "failed") progress([now.error, now.hint].filter(Boolean).join(" — "));
}

function progress(text, bar = "") {
  for (const one of document.querySelectorAll(".run")) one.replaceChildren(make("p", { role: "status" }, text), bar ? bar.cloneNode(true) : "");
}

function dialog(title, ...body) {
  at("dialog-title").textContent = title;
  at("dialog-body").replaceChildren(...body);
  if (!at("dialog").open) at("dialog").showModal();
}

async function showStatus() {
  let found;
  try { found = await api("status"); } catch (error) { complain(error); return; }
  const rows = (one) => [[say("documents"), one.documents], [say("passages"), one.passages], [say("files"), one.files],
    [say("folders"), one.roots.join("\n")], [say("model"), one.model], [say("last"), new Date(one.last).toLocaleString()],
    [say("size"), `${(one.bytes / 1048576).toFixed(1)} MiB`]].filter(([, value]) => value !== "" && value != null);
  dialog(say("status"), ...found.indexes.flatMap((one) => [
    make("h3", {}, one.name),
    one.exists ? make("dl", {}, ...rows(one).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]))
      : make("p", {}, say("empty")),
    one.exists ? make("button", { type: "button", onclick: () => run(one.name) }, say("refresh")) : null,
    adding(one.name),
    one.problem_count ? make("details", {}, make("summary", {}, `${say("problems")} ${one.problem_count}`),
      make("ul", {}, ...one.problems.map((each) => make("li", {}, `${each.path}${each.member ? ` / ${each.member}` : ""}: ${each.detail}`)))) : null,
  ].filter(Boolean)), make("div", { class: "run" }));
  if (found.run.is === "running") follow();
}

const showHelp = () => dialog(say("help"), make("dl", {},
  ...KEYS.flatMap(([keys, english, korean]) => [make("dt", {}, make("kbd", {}, keys)), make("dd", {}, isKorean ? korean : english)])));

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.keyCode === 229 || event.ctrlKey || event.metaKey || event.altKey) return;
  if (at("dialog").open) return; // it closes itself by Esc
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (event.key === "Escape") { if (seen) close(); else if (typing) at("hits").querySelector(".name")?.focus(); return; }
  if (event.target === at("question") && event.key === "ArrowDown") { event.preventDefault(); step(1); return; }
  if (typing) return;
  const hit = hits[focusedHit()] || seen?.hit;
  const acts = {
    "/": () => { at("question").focus(); at("question").select(); }, j: () => step(1), k: () => step(-1), "?": showHelp,
    ArrowDown: focusedHit() >= 0 ? () => step(1) : null, ArrowUp: focusedHit() >= 0 ? () => step(-1) : null,
    o: hit && (() => open(hit)), s: hit && (() => similar(hit)),
    ArrowLeft: seen?.pages && (() => turn(-1)), ArrowRight: seen?.pages && (() => turn(1)),
    "+": seen?.pages && (() => zoom(1.25)), "-": seen?.pages && (() => zoom(0.8)),
  };
  const act = acts[event.key];
  if (act) { event.preventDefault(); act(); }
});

at("show-status").addEventListener("click", showStatus);
at("show-help").addEventListener("click", showHelp);
at("dialog-close").addEventListener("click", () => at("dialog").close());
at("more").addEventListener("click", () => { state.k = Math.min(state.k * 2, MOST); ask(); });
at("sort").addEventListener("change", () => { state.sort = at("sort").value; writeAddress(true); if (answer) show(answer, ""); });
at("group").addEventListener("change", () => { state.group = at("group").checked ? "1" : ""; writeAddress(true); ask(); });

function restore() {
  readAddress();
  at("question").value = state.q;
  at("sort").value = state.sort;
  at("group").checked = state.group === "1";
  close();
  ask();
}
addEventListener("popstate", restore);
setInterval(() => { if (!retrying) api("ping").catch(() => {}); }, PING);

document.documentElement.lang = isKorean ? "ko" : "en";
for (const one of document.querySelectorAll("[data-say]")) one.textContent = say(one.dataset.say);
for (const one of document.querySelectorAll("[data-label]")) one.setAttribute("aria-label", say(one.dataset.label));
at("question").placeholder = say("question");
restore();
at("question").focus();
