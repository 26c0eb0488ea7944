// `npm run soak`: kills training at random moments, with a printed seed. Not part of `npm test`: it takes as long as you let it.
import { mergeConfig } from "vitest/config"
import base from "./vitest.config.ts"

export default {
  ...mergeConfig(base, {}),
  test: { ...base.test, include: ["test/soak/**/*.test.ts"], exclude: ["node_modules/**"], testTimeout: 1_200_000 }
}
