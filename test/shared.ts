// Where the real test data lies, when it is there: tests that need it skip with a visible message when it is not.
import { existsSync } from "node:fs"
import { resolve } from "node:path"

/** Absolute path below the folder of shared test data beside the repository. */
export const shared = (...path: readonly string[]): string => resolve(import.meta.dirname, "../../shared", ...path)

export const hasShared = existsSync(shared("data"))
