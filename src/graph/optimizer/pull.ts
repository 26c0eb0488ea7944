// A pull towards the weights that training starts from: reference arithmetic of the kernel.
import { exact } from "./round.ts"

/** Gradient of the penalty lambda/2 (p - p0)^2 added to g. */
export const pull = (g: number, p: number, p0: number, lambda: number, round = exact): number =>
  round(g + round(round(lambda) * round(p - p0)))
