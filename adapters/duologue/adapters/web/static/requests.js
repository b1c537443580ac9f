// Requests to our server, and what it says when it refuses one.

/** The server said no: `status` is HTTP's, `code` and `param` are its own. */
export class RequestError extends Error {
  constructor(status, { code, message, param } = {}) {
    super(message ?? `the server answered ${status}`);
    Object.assign(this, { status, code: code ?? "failed", param });
  }
}

/**
 * Asks the server; the answer is its JSON, or its text.
 *
 * @param {URL} url
 * @param {string} method
 * @param {string | Blob | object} [body] an object is sent as JSON.
 * @param {string} [type] of the body.
 * @throws {RequestError | TypeError} `TypeError` where the server cannot be reached.
 */
export async function request(url, method, body, type = "application/json") {
  const headers = { "X-Duologue": "1" };
  if (body !== undefined) headers["Content-Type"] = type;
  const plain = typeof body === "string" || body instanceof Blob;
  const response = await fetch(url, {
    method,
    headers: method === "GET" ? {} : headers,
    body: body === undefined || plain ? body : JSON.stringify(body),
    // Cookies too where this page is of another origin that the server allows.
    credentials: "include",
    // The end of a call is told even when the page goes away.
    keepalive: body?.type === "close",
  });
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    throw new RequestError(response.status, told.error);
  }
  const text = await response.text();
  const given = response.headers.get("Content-Type") ?? "";
  return given.startsWith("application/json") ? JSON.parse(text) : text;
}
