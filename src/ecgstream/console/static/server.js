// Asking the server, and telling it something: changes carry the session's token.

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
const WAIT_MS = 10000;
const ROLES = ["view", "acknowledge", "configure"];

export const person = { name: meta("person"), role: meta("role"), signIn: meta("sign-in") === "yes", csrf: meta("csrf") };

/** Whether the person may do what `role` may. */
export const may = (role) => ROLES.indexOf(person.role) >= ROLES.indexOf(role);

async function read(answer) {
  const data = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (answer.status === 401) throw new Error("Your session has ended. Sign in again.");
  if (!answer.ok) throw Object.assign(new Error(data.error), { unsure: answer.status === 502 || answer.status === 504 });
  return data;
}

/** The JSON at a path; throws with the server's words. */
export const ask = async (path) => read(await fetch(path, { headers: { accept: "application/json" }, signal: AbortSignal.timeout(WAIT_MS) }));

/** What to say of a change that failed: `words`, unless it may have been taken all the same. */
export const failed = (words, error) => `${error.unsure ? "Not confirmed" : words}: ${error.message}`;

/** Send a change; throws with the server's words, or, `unsure`, when nobody answers. */
export async function tell(path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-csrf-token": person.csrf },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(WAIT_MS),
    });
  } catch {
    throw Object.assign(new Error("the server did not answer; it may have been sent all the same"), { unsure: true });
  }
  return read(answer);
}
