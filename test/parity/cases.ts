// The reference adapters of ../shared/parity whose base is of a family that anneal has.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { DataError } from "#src/domain/Errors.ts"
import { parseConfig } from "#src/formats/hfConfig.ts"
import { modelOf } from "#src/models/families.ts"
import { hasShared, shared } from "../shared.ts"

/** Whether the family of a base is one of anneal's; without the references none is. */
export const isKnown = (base: string): boolean => {
  if (!hasShared) return false
  const file = shared("parity", "models", base, "hf", "config.json")
  try {
    return modelOf(parseConfig(readFileSync(file, "utf8"), file), file) !== undefined
  } catch (error) {
    if (error instanceof DataError && error.message.startsWith("unknown model_type")) return false
    throw error
  }
}

export interface Case {
  readonly base: string
  readonly method: string
}

/** Those with an adapter folder whose method has a name of these. */
export const casesOf = (kinds: RegExp): readonly Case[] =>
  (hasShared ? readdirSync(shared("parity", "adapters")) : []).filter(isKnown).flatMap((base) =>
    readdirSync(shared("parity", "adapters", base))
      .filter((method) => kinds.test(method) && existsSync(shared("parity", "adapters", base, method, "adapter")))
      .map((method) => ({ base, method }))
  )
