// What differs between two values of plain data, field by field: configs of runs, manifests of keys.

/** Leaves by dotted path; list elements by index; an empty list or object is a leaf. */
export const flatten = (value: unknown, path = ""): ReadonlyMap<string, unknown> => {
  if (typeof value !== "object" || value === null || Object.keys(value).length === 0) return new Map([[path, value]])
  return new Map(Object.entries(value).flatMap(([name, part]) => [...flatten(part, path === "" ? name : `${path}.${name}`)]))
}

/** The paths whose values are not the same in all of `sides`, with the value on each side (undefined = absent). */
export const differences = (sides: readonly ReadonlyMap<string, unknown>[]): ReadonlyMap<string, readonly unknown[]> => {
  const paths = new Set(sides.flatMap((side) => [...side.keys()]))
  const found = new Map<string, readonly unknown[]>()
  for (const path of paths) {
    const values = sides.map((side) => side.get(path))
    const texts = new Set(values.map((value) => JSON.stringify(value)))
    if (texts.size > 1) found.set(path, values)
  }
  return found
}
