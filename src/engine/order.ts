// Order of stages: each after all that it needs, otherwise as written; a cycle is an error that names it.
import { DefinitionError } from "#src/domain/Errors.ts"

interface Node {
  readonly id: string
  readonly needs: readonly string[]
}

/** @throws DefinitionError "train -> evaluate -> train" */
export const inOrder = <N extends Node>(nodes: readonly N[]): readonly N[] => {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const ordered = new Set<N>()
  const visit = (node: N, path: readonly string[]): void => {
    if (ordered.has(node)) return
    if (path.includes(node.id)) {
      throw new DefinitionError({
        message: `stages wait for each other: ${[...path.slice(path.indexOf(node.id)), node.id].toReversed().join(" -> ")}`,
        hint: "take one of these wires out"
      })
    }
    for (const id of node.needs) {
      const needed = byId.get(id)
      if (needed !== undefined) visit(needed, [...path, node.id])
    }
    ordered.add(node)
  }
  for (const node of nodes) visit(node, [])
  return [...ordered]
}

/** The ids given and all that hang below them (needs them directly or through others). */
export const withDependents = (ordered: readonly Node[], ids: Iterable<string>): ReadonlySet<string> => {
  const found = new Set(ids)
  for (const node of ordered) if (node.needs.some((id) => found.has(id))) found.add(node.id)
  return found
}

/** The ids given and all that they need. */
export const withNeeds = (ordered: readonly Node[], ids: Iterable<string>): ReadonlySet<string> => {
  const found = new Set(ids)
  for (const node of ordered.toReversed()) if (found.has(node.id)) for (const id of node.needs) found.add(id)
  return found
}
