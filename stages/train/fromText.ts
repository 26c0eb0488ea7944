// First values that a method takes from a text: the base reads its first tokens, and the adapter's tensors are made of that.
import type { Adapter } from "#src/adapters/Adapter.ts"
import type { Method } from "#src/adapters/options.ts"
import type { Model } from "#src/models/Model.ts"
import { readText } from "#src/runtime/readText.ts"
import { begin, type Tuned } from "#src/runtime/Tuning.ts"
import { loadBaseText } from "#src/text/base.ts"

/** The tokens that the base will read; undefined where the method begins otherwise. @throws DataError where the text is too short */
export const tokensOfInit = async (method: Method, adapter: Adapter | undefined, base: string): Promise<readonly number[] | undefined> => {
  if (!("init" in method) || method.init === "random" || adapter?.fromText === undefined) return undefined
  const { bosTokenId, encode } = (await loadBaseText(base)).tokenizer
  // As PEFT tokenizes it: the beginning of a sequence counts.
  return adapter.fromText.tokens([...(bosTokenId === null ? [] : [bosTokenId]), ...encode(method.init.text)])
}

/** Fills the trained tensors anew. */
export const beginFromText = async (
  model: Model,
  { tuning, store, frozen }: Tuned,
  ids: readonly number[],
  threads: number
): Promise<void> => {
  const initial = tuning.adapter?.fromText?.initial(await readText(model, frozen, ids, threads))
  if (initial !== undefined) begin(store, initial)
}
