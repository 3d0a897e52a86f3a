//! The data of a practice cluster: a small shop.

/// Customers at the start.
pub const CUSTOMERS: u32 = 2_000;
/// Orders at the start, each with a payment.
pub const ORDERS: u32 = 6_000;

/// Roles, run in the database `postgres`.
pub(super) const ROLES: &str = "
CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE shop_app LOGIN;
CREATE DATABASE shop OWNER shop_owner;
";

/// Tables and their first rows, run in the database `shop`.
pub(super) fn schema() -> String {
    format!(
        "
BEGIN;
SET ROLE shop_owner;
CREATE TABLE customers (
    customer_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email       text NOT NULL UNIQUE,
    full_name   text NOT NULL,
    city        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE orders (
    order_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    status      text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'paid', 'shipped', 'cancelled')),
    total_cents integer NOT NULL CHECK (total_cents > 0),
    placed_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_customer ON orders (customer_id);
CREATE INDEX orders_placed ON orders (placed_at);
CREATE TABLE payments (
    payment_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id     bigint NOT NULL REFERENCES orders,
    amount_cents integer NOT NULL CHECK (amount_cents > 0),
    method       text NOT NULL CHECK (method IN ('card', 'transfer', 'invoice')),
    paid_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payments_order ON payments (order_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON customers, orders, payments TO shop_app;

INSERT INTO customers (email, full_name, city, created_at)
SELECT 'customer' || n || '@example.org', 'Customer ' || n,
       (ARRAY['Ankara', 'Bergen', 'Cork', 'Delft', 'Essen'])[1 + n % 5], now() - n * interval '1 hour'
FROM generate_series(1, {CUSTOMERS}) AS n;
INSERT INTO orders (customer_id, status, total_cents, placed_at)
SELECT 1 + n % {CUSTOMERS}, (ARRAY['paid', 'shipped'])[1 + n % 2], 500 + n * 7 % 20000,
       now() - ({ORDERS} - n) * interval '10 minutes'
FROM generate_series(1, {ORDERS}) AS n;
INSERT INTO payments (order_id, amount_cents, method, paid_at)
SELECT order_id, total_cents, (ARRAY['card', 'transfer', 'invoice'])[1 + order_id % 3], placed_at
FROM orders ORDER BY order_id;
COMMIT;
ANALYZE customers, orders, payments;
"
    )
}

/// A day's work between two backups, so that a differential and an incremental one have something to copy.
pub(super) const CHANGES: &str = "
UPDATE orders SET status = 'shipped' WHERE order_id % 10 = 0 AND status = 'paid';
INSERT INTO orders (customer_id, total_cents) SELECT customer_id, 999 FROM customers WHERE customer_id % 20 = 0;
INSERT INTO payments (order_id, amount_cents, method)
SELECT order_id, total_cents, 'card' FROM orders WHERE status = 'new';
UPDATE orders SET status = 'paid' WHERE status = 'new';
";
