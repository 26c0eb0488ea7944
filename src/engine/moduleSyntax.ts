// One module: the digest of its syntax tree and what it imports. Types are stripped first, so they do not count.
import { createHash } from "node:crypto"
import { stripTypeScriptTypes } from "node:module"
import { type Node, parse } from "acorn"
import { DefinitionError } from "#src/domain/Errors.ts"

export interface ModuleSyntax {
  readonly digest: string
  /** Specifiers of static imports, re-exports, dynamic imports and calls of require. */
  readonly imports: readonly string[]
  /** Whether it imports something by a computed name. */
  readonly dynamic: boolean
}

type Tree = Node & Readonly<Record<string, unknown>>

/** @throws DefinitionError for a syntax error, with the parser's message */
export const digestModule = (text: string, path: string): ModuleSyntax => {
  if (!/\.[cm]?[jt]s$/.test(path)) return { digest: sha256(text), imports: [], dynamic: false }
  const tree = parseModule(text, path)
  const imports: string[] = []
  let dynamic = false
  const json = JSON.stringify(tree, function (this: unknown, key, value: unknown) {
    // Positions are formatting, and so is the spelling of a literal ('a' or "a", 1e3 or 1000).
    if (key === "start" || key === "end" || (key === "raw" && isNode(this) && this.type === "Literal")) return undefined
    if (typeof value === "bigint" || value instanceof RegExp) return undefined
    if (Array.isArray(value)) return value.filter((item) => !isNode(item) || item.type !== "EmptyStatement")
    if (isNode(value)) {
      const source = importedBy(value)
      if (isNode(source)) {
        if (typeof source["value"] === "string") imports.push(source["value"])
        else dynamic = true
      }
    }
    return value
  })
  return { digest: sha256(json), imports, dynamic }
}

const isNode = (value: unknown): value is Tree => typeof value === "object" && value !== null && "type" in value

/** The node that names the module where this node imports one. */
const importedBy = (node: Tree): unknown => {
  switch (node.type) {
    case "ImportDeclaration":
    case "ExportNamedDeclaration":
    case "ExportAllDeclaration":
    case "ImportExpression":
      return node["source"]
    case "CallExpression": {
      const callee = node["callee"]
      return isNode(callee) && callee.type === "Identifier" && callee["name"] === "require"
        ? (node["arguments"] as readonly unknown[])[0]
        : undefined
    }
    default:
      return undefined
  }
}

const parseModule = (text: string, path: string): Node => {
  try {
    return parse(/ts$/.test(path) ? stripTypes(text) : text, { ecmaVersion: "latest", sourceType: "module", allowHashBang: true })
  } catch (error) {
    throw new DefinitionError({
      message: error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error),
      where: path,
      hint: "a stage's modules must be JavaScript, or TypeScript whose types can be stripped (no enums, no namespaces)"
    })
  }
}

/** Node's own stripping, without the warning that it is experimental. */
const stripTypes = (text: string): string => {
  const emit = Object.getOwnPropertyDescriptor(process, "emitWarning") as PropertyDescriptor
  Object.defineProperty(process, "emitWarning", { ...emit, value: () => undefined })
  try {
    return stripTypeScriptTypes(text)
  } finally {
    Object.defineProperty(process, "emitWarning", emit)
  }
}

const sha256 = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`
