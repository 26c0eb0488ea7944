// Small Schema helpers for stage configs: a field with a default and the text that docs/reference shows for it.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** `field(schema, default, text)`: may be left out; the decoded config always has it, so writing the default changes no key. */
export const field = <S extends Schema.Top>(schema: S, value: S["Encoded"], description: string) =>
  schema.pipe(Schema.withDecodingDefaultKey(Effect.succeed(value as never))).annotate({ description, anneal_default: value as never })

/** A field that must be given. */
export const required = <S extends Schema.Top>(schema: S, description: string) => schema.annotate({ description }) as S["Rebuild"]

/** A field that may be left out and then is absent. */
export const optional = <S extends Schema.Top>(schema: S, description: string) => Schema.optionalKey(schema.annotate({ description }) as S)

export const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
export const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
export const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
export const PositiveInt = Schema.Int.check(Schema.isGreaterThan(0))
/** Seeds are unsigned 32-bit, so that every generator takes them whole. */
export const Seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff_ffff }))
