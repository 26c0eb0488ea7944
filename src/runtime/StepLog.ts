// What each optimizer step was, kept for every step: the curve that is reported, logged and watched for what is unusual.

const columns = ["loss", "gradNorm", "learningRate", "tokens", "relativeUpdate"] as const

/** NaN: not finite (loss, gradNorm), or the step was skipped (relativeUpdate). See domain/TrainingLog.ts for the units. */
export type StepRecord = Readonly<Record<(typeof columns)[number], number>>

const width = columns.length

export class StepLog {
  #values = new Float64Array(256 * width)
  #length = 0

  get length(): number {
    return this.#length
  }

  push(record: StepRecord): void {
    const at = this.#length * width
    if (at === this.#values.length) {
      const larger = new Float64Array(2 * at)
      larger.set(this.#values)
      this.#values = larger
    }
    columns.forEach((column, i) => (this.#values[at + i] = record[column]))
    this.#length++
  }

  /** One column of step `index` (0-based). */
  get(index: number, column: keyof StepRecord): number {
    return this.#values[index * width + columns.indexOf(column)] as number
  }

  /** One column of the steps [from, to), 0-based. */
  column(column: keyof StepRecord, from = 0, to = this.#length): readonly number[] {
    return Array.from({ length: Math.max(0, to - from) }, (_, i) => this.get(from + i, column))
  }

  /** As a checkpoint keeps it. */
  bytes(): Uint8Array {
    return new Uint8Array(this.#values.buffer, 0, this.#length * width * 8)
  }

  /** Takes the place of what was logged. @throws Error where it is not the log of so many steps */
  restore(bytes: Uint8Array, steps: number): void {
    if (bytes.length !== steps * width * 8) throw new Error(`the log has ${bytes.length / width / 8} steps instead of ${steps}`)
    this.#values = new Float64Array((steps + 256) * width)
    new Uint8Array(this.#values.buffer).set(bytes)
    this.#length = steps
  }
}
