/** Keeps the parts of the page up to date while it is visible, and sends what the owner changes. */
const main = document.querySelector('#main');
const dialog = document.querySelector('#dialog');
const status = document.querySelector('#status');
/** Milliseconds; 0: never. The next state of the page can change it. */
let refreshMs = Number(main?.dataset.refresh ?? 0) * 1000;

/** Replaces the parts that changed; what has the focus keeps it. */
async function refresh() {
  const response = await fetch(location.href, { headers: { accept: 'text/html' } });
  if (dialog.open) return;
  if (response.status === 401) return location.reload();
  if (!response.ok) throw new Error(`status ${response.status}`);
  const next = new DOMParser().parseFromString(await response.text(), 'text/html');
  refreshMs = Number(next.querySelector('#main')?.dataset.refresh ?? 0) * 1000;
  for (const part of document.querySelectorAll('.live')) {
    const other = next.getElementById(part.id);
    if (other === null || other.innerHTML === part.innerHTML) continue;
    const focused = part.contains(document.activeElement) ? document.activeElement.id : '';
    part.replaceChildren(...other.childNodes);
    document.getElementById(focused)?.focus();
  }
}

let timer;
/** Not while a dialog is open: a reload would remove a secret that is shown once. */
async function keepUp() {
  clearTimeout(timer);
  if (refreshMs === 0 || document.hidden || dialog.open) return;
  try {
    await refresh();
    main.classList.remove('stale');
    if (status.dataset.lost === 'yes') say('');
  } catch {
    main.classList.add('stale');
    say('The relay does not answer. The numbers are old.', 'yes');
  }
  clearTimeout(timer);
  if (refreshMs > 0) timer = setTimeout(() => void keepUp(), refreshMs);
}

function say(text, lost = 'no') {
  status.textContent = text;
  status.dataset.lost = lost;
}

/** The paths are relative to the session's. Throws with a sentence for the owner. */
async function send(path, body = {}) {
  const response = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-claude-relay-owner': '1' },
    body: JSON.stringify(body),
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.message ?? `The relay answered ${response.status}.`);
  return answer;
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const onClick = (target, act) => target.addEventListener('click', () => void act());

function show(...content) {
  dialog.replaceChildren(...content);
  if (!dialog.open) dialog.showModal();
}

const close = () => dialog.close();
const cancel = () => element('button', { type: 'button', textContent: 'Cancel', onclick: close });
const title = (text) => element('h2', { id: 'dialog-title', textContent: text });
const sentence = (textContent) => element('p', { textContent });
const actions = (...buttons) => element('p', { className: 'actions' }, ...buttons);
const trouble = () => element('p', { className: 'problem', role: 'alert' });

const questions = {
  disable: [
    'Disable',
    'Its requests are refused until you enable it.',
    'Apps with this key stop working now.',
  ],
  revoke: [
    'Revoke',
    'Its requests are refused from now on.',
    'This cannot be undone: the app needs a new key.',
  ],
};

/** Asks twice. */
function ask(act, name, path) {
  const [verb, effect, warning] = questions[act];
  const problem = trouble();
  const yes = element('button', { type: 'button', className: 'danger', textContent: `Yes, ${act} ${name}` });
  onClick(yes, async () => {
    try {
      await send(path);
      close();
      say(`${verb}d ${name}.`);
    } catch (error) {
      problem.textContent = error.message;
    }
  });
  const first = element('button', { type: 'button', className: 'danger', textContent: `${verb} it` });
  onClick(first, () => {
    show(title(`${verb} ${name}: are you sure?`), sentence(warning), problem, actions(yes, cancel()));
    yes.focus();
  });
  show(title(`${verb} ${name}?`), sentence(effect), actions(first, cancel()));
}

function createKey() {
  show(document.querySelector('#new-key').content.cloneNode(true));
  const form = dialog.querySelector('form');
  const problem = trouble();
  form.append(problem);
  const create = async () => {
    const given = [...new FormData(form)].filter(([, value]) => value !== '');
    const body = Object.fromEntries(
      given.map(([name, value]) => [name, name === 'label' ? value : Number(value)]),
    );
    try {
      const { label, secret } = await send('keys', body);
      showSecret(label, secret);
    } catch (error) {
      problem.textContent = error.message;
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void create();
  });
}

function showSecret(label, secret) {
  const code = element('code', { id: 'secret', textContent: secret, tabIndex: 0 });
  const copy = element('button', { type: 'button', textContent: 'Copy it' });
  onClick(copy, async () => {
    await navigator.clipboard.writeText(secret);
    copy.textContent = 'Copied';
  });
  const done = element('button', { type: 'button', textContent: 'Done', onclick: close });
  show(
    title(`The key of ${label}`),
    sentence('This is shown once: the relay keeps only a hash of it.'),
    element('p', {}, code),
    actions(copy, done),
  );
}

dialog?.addEventListener('close', () => {
  // The secret must not stay in the page.
  dialog.replaceChildren();
  void keepUp();
});

async function press({ act, name, path }) {
  if (act === 'close') return close();
  if (act === 'new-key') return createKey();
  if (act === 'disable' || act === 'revoke') return ask(act, name, path);
  try {
    await send(path);
    if (act === 'logout') return location.reload();
    say(`Enabled ${name}.`);
    await refresh();
  } catch (error) {
    say(error.message);
  }
}

document.addEventListener('click', ({ target }) => {
  const button = target.closest('button[data-act]');
  if (button !== null) void press(button.dataset);
});
document.addEventListener('visibilitychange', () => void keepUp());
if (refreshMs > 0) timer = setTimeout(() => void keepUp(), refreshMs);
