// The difference between two documents as an RFC 6902 patch.
import { createPatch, type Operation, type Pointer } from 'jsonpatch';

export type { Operation } from 'jsonpatch';

/**
 * Makes the patch that turns `before` into `after`; empty when they are equal. Both are parsed JSON. Fields that are in
 * both untouched do not appear, so what our types do not know survives. The order of keys in the input has no influence:
 * equal documents give equal patches to the byte. Elements appended to a list become additions at its end, and a changed
 * element is changed in place.
 */
export function jsonPatch(before: object, after: object): Operation[] {
  if (before === after) return [];
  const sort = keySorter();
  return createPatch(sort(before), sort(after), listDifference);
}

/**
 * Walks both lists, pairing elements by name. Until the end the list being patched is `after` up to `place`, followed by
 * what is left of `before`: so every step is right, and foreign elements are never rewritten. (The library's own way
 * takes time and stack with the product of the lengths.)
 */
function listDifference(before: unknown, after: unknown, pointer: Pointer): Operation[] | undefined {
  if (!Array.isArray(before) || !Array.isArray(after)) return undefined;
  const wanted = new Set(after.map(keyOf));
  const operations: Operation[] = [];
  let place = 0;
  let next = 0;
  while (next < before.length || place < after.length) {
    const path = pointer.add(String(place)).toString();
    if (next < before.length && place < after.length && keyOf(before[next]) === keyOf(after[place])) {
      const changes = before[next] === after[place] ? [] : createPatch(before[next], after[place], listDifference);
      for (const change of changes) {
        operations.push({ ...change, path: `${path}${change.path}` });
      }
      next += 1;
      place += 1;
    } else if (next < before.length && (place === after.length || !wanted.has(keyOf(before[next])))) {
      operations.push({ op: 'remove', path });
      next += 1;
    } else {
      const end = next === before.length;
      operations.push({ op: 'add', path: end ? pointer.add('-').toString() : path, value: after[place] });
      place += 1;
    }
  }
  return operations;
}

/** What makes two elements the same one: the name, the value, or nothing but the place. */
function keyOf(element: unknown): unknown {
  if (typeof element !== 'object' || element === null) return element;
  return 'name' in element && typeof element.name === 'string' ? `name ${element.name}` : undefined;
}

/** Copies with sorted keys; what was shared stays shared, so that equal parts are found by identity. */
function keySorter(): (value: unknown) => unknown {
  const copies = new Map<object, unknown>();
  return function sort(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return value;
    const known = copies.get(value);
    if (known !== undefined) return known;
    const copy = Array.isArray(value)
      ? value.map(sort)
      : Object.fromEntries(
          Object.entries(value)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, item]) => [key, sort(item)]),
        );
    copies.set(value, copy);
    return copy;
  };
}
