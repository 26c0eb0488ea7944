// What is trained and what stays, in numbers: for the model's anneal.json and for people.
import type { ModelInfo } from "#src/domain/ModelInfo.ts"
import type { Frozen } from "#src/runtime/Frozen.ts"
import type { Tuned } from "#src/runtime/Tuning.ts"

const sizeOf = ({ shape }: Pick<Frozen, "shape">): number => shape.reduce((product, dim) => product * dim, 1)
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
const count = (n: number): string => n.toLocaleString("en-US")

export const countParameters = ({ store, frozen }: Tuned): ModelInfo["parameters"] => ({
  trainable: store.size,
  total: store.size + sum(frozen.map(sizeOf))
})

/** PEFT's own line (print_trainable_parameters). */
export const parameterLine = ({ trainable, total }: ModelInfo["parameters"]): string =>
  `trainable params: ${count(trainable)} || all params: ${count(total)} || trainable%: ${((100 * trainable) / total).toFixed(4)}`

/** What the frozen tensors take in memory, by form; undefined where all are float32. */
export const frozenLine = (frozen: readonly Frozen[]): string | undefined => {
  const forms = [...new Set(frozen.map(({ form }) => form))]
  if (forms.every((form) => form === "float32")) return undefined
  const parts = forms.map((form) => {
    const members = frozen.filter((tensor) => tensor.form === form)
    const [values, bytes] = [sum(members.map(sizeOf)), sum(members.map((tensor) => tensor.bytes))]
    return `${count(values)} values as ${form} in ${count(bytes)} bytes (${((8 * bytes) / values).toFixed(3)} bits each)`
  })
  return `frozen: ${parts.join(", ")}`
}
