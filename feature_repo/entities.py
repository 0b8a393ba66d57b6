"""Who or what a feature is about, by the key that identifies it in gold."""

from feast import Entity, ValueType

store = Entity(name="store", join_keys=["store_id"], value_type=ValueType.STRING, description="A store or web shop.")
product = Entity(name="product", join_keys=["sku"], value_type=ValueType.STRING, description="A product (SKU).")
customer = Entity(
    name="customer", join_keys=["customer_id"], value_type=ValueType.STRING, description="A known customer."
)
payment_token = Entity(
    name="payment_token",
    join_keys=["card_token"],
    value_type=ValueType.STRING,
    description="A means of payment, known by its token and never by a card number.",
)

# Feast gives an entity one join key: what belongs to a store-product is keyed by both of its entities.
store_product = [store, product]
ENTITIES = [store, product, customer, payment_token]
