// Requests to the server, and its refusals.

/** The server refused a request: HTTP `status`, with its own `code` and `param`. */
export class RequestError extends Error {
  constructor(status, { code, message, param } = {}) {
    super(message ?? `the server answered ${status}`);
    Object.assign(this, { status, code: code ?? "failed", param });
  }
}

/**
 * Sends a request; resolves with JSON, or with text for other content types.
 *
 * @param {URL} url
 * @param {string} method
 * @param {string | Blob | object} [body] an object is sent as JSON.
 * @param {string} [type] of the body.
 * @throws {RequestError | TypeError} `TypeError` if the server cannot be reached.
 */
export async function request(url, method, body, type = "application/json") {
  const headers = { "X-Duologue": "1" };
  if (body !== undefined) headers["Content-Type"] = type;
  const plain = typeof body === "string" || body instanceof Blob;
  const response = await fetch(url, {
    method,
    headers: method === "GET" ? {} : headers,
    body: body === undefined || plain ? body : JSON.stringify(body),
    // Send cookies from pages of other allowed origins too.
    credentials: "include",
    // Deliver the end of a call even while the page unloads.
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
