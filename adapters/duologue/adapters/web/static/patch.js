// JSON Patch (RFC 6902) with `add`, `replace` and `remove`, the operations of the feed.
// Objects on a changed path are copied and all others shared, so unchanged parts keep
// their identity, and a page renders only the changed ones.

/** A patch does not apply to this document: request the whole view again. */
export class PatchError extends Error {}

/**
 * The document after a patch; the given one is not modified.
 *
 * @param {any} document JSON values.
 * @param {{op: string, path: string, value?: any}[]} operations
 * @returns {any}
 * @throws {PatchError} for another operation and for a path that does not exist.
 */
export function applyPatch(document, operations) {
  const own = new WeakSet();
  let root = document;
  for (const { op, path, value } of operations) {
    if (!["add", "replace", "remove"].includes(op) || typeof path !== "string") {
      throw new PatchError(`neither add, replace nor remove at a path: ${op}`);
    }
    root = path === "" ? value : edited(root, keysOf(path), 0, op, value, own);
  }
  return root;
}

/**
 * The keys that a JSON pointer (RFC 6901) names.
 *
 * @param {string} pointer
 * @returns {string[]}
 */
export function keysOf(pointer) {
  const keys = pointer.split("/").slice(1);
  return keys.map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function edited(node, keys, depth, op, value, own) {
  if (node === null || typeof node !== "object") throw new PatchError("no such path");
  const copy = own.has(node) ? node : Array.isArray(node) ? [...node] : { ...node };
  own.add(copy);
  const last = depth === keys.length - 1;
  const key = checked(copy, keys[depth], last && op === "add");
  if (!last) {
    copy[key] = edited(copy[key], keys, depth + 1, op, value, own);
  } else if (!Array.isArray(copy)) {
    if (op === "remove") delete copy[key];
    else copy[key] = value;
  } else if (op === "replace") {
    copy[key] = value;
  } else {
    copy.splice(key, op === "remove" ? 1 : 0, ...(op === "remove" ? [] : [value]));
  }
  return copy;
}

/** Checks a key of a node; `adds` allows a new one. */
function checked(node, key, adds) {
  if (Array.isArray(node)) {
    const at = key === "-" && adds ? node.length : Number(key);
    const end = node.length + (adds ? 1 : 0);
    if ((key !== "-" && String(at) !== key) || !(at >= 0 && at < end)) {
      throw new PatchError(`no place ${key}`);
    }
    return at;
  }
  if (key === "__proto__" || (!adds && !Object.hasOwn(node, key))) {
    throw new PatchError(`no key ${key}`);
  }
  return key;
}
