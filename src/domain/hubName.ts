// "hf:org/name@revision": a base model by its name on the Hugging Face hub, in place of a folder.
import { DefinitionError } from "./Errors.ts"

export interface HubName {
  /** As written. */
  readonly text: string
  /** "org/name" */
  readonly repo: string
  /** Branch, tag or commit; "main" unless given. */
  readonly revision: string
  /** Whether the revision is a commit's whole hash, which never moves. */
  readonly pinned: boolean
}

/** Letters, digits, `-`, `_`, `.`; no `..` and no `--`, which the hub forbids too: names become folders here. */
const isName = (part: string | undefined): part is string => part !== undefined && /^(?!.*(\.\.|--))[A-Za-z0-9_][\w.-]*$/.test(part)

/** A branch may hold slashes, as refs/pr/1 does. */
const isRevision = (text: string): boolean => text.split("/").every((part) => /^(?!.*\.\.)[A-Za-z0-9_][\w.+-]*$/.test(part))

export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision)

/** First digits of a commit, for people. */
export const shortCommit = (commit: string): string => commit.slice(0, 7)

/**
 * Undefined for what is a folder.
 * @throws DefinitionError where it begins with "hf:" and is no name; `where` names the source
 */
export const hubName = (text: string, where?: string): HubName | undefined => {
  if (!text.startsWith("hf:")) return undefined
  const [repo = "", ...rest] = text.slice("hf:".length).split("@")
  const revision = rest.length === 0 ? "main" : rest.join("@")
  const [org, name, ...more] = repo.split("/")
  if (isName(org) && isName(name) && more.length === 0 && isRevision(revision)) {
    return { text, repo, revision, pinned: isCommit(revision) }
  }
  throw new DefinitionError({
    message: `"${text}" is not the name of a model on the Hugging Face hub`,
    ...(where === undefined ? {} : { where }),
    hint: "write hf:org/name or hf:org/name@revision, where the revision is a branch, a tag or a commit"
  })
}
