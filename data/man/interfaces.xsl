<?xml version="1.0" encoding="UTF-8"?>
<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->
<!-- Puts what gdbus-codegen makes of the interface files into one page: its input is org.architect.Node.5.xml, in which
     <?interface NAME?> stands for the description, the methods, the signals and the properties of one interface. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="xml" encoding="UTF-8"/>

  <!-- Where gdbus-codegen's files are, with the beginning of their names. -->
  <xsl:param name="generated"/>

  <xsl:template match="@* | node()">
    <xsl:copy><xsl:apply-templates select="@* | node()"/></xsl:copy>
  </xsl:template>

  <xsl:template match="processing-instruction('interface')">
    <xsl:variable name="name" select="normalize-space(.)"/>
    <xsl:variable name="page" select="document(concat($generated, $name, '.xml'))/refentry"/>
    <xsl:if test="not($page)">
      <xsl:message terminate="yes">There is no description of <xsl:value-of select="$name"/></xsl:message>
    </xsl:if>

    <refsect1>
      <title>The interface <xsl:value-of select="$name"/></title>
      <xsl:apply-templates select="$page/refsect1[@role = 'desc']/node()[not(self::title)]"/>
    </refsect1>
    <xsl:for-each select="$page/refsect1[@role = 'details']">
      <refsect1 role="members">
        <title>
          <xsl:value-of select="concat(substring-before(title, ' Details'), 's of ', $name)"/>
        </title>
        <xsl:apply-templates select="refsect2"/>
      </refsect1>
    </xsl:for-each>
  </xsl:template>

  <!-- "Properties", not "Propertys". -->
  <xsl:template match="processing-instruction('interface')[false()]"/>

  <!-- A member: its form, its arguments, then what is said of it. -->
  <xsl:template match="refsect2">
    <refsect2>
      <title><xsl:apply-templates select="." mode="name"/></title>
      <xsl:apply-templates select="programlisting"/>
      <xsl:apply-templates select="variablelist"/>
      <xsl:apply-templates select="para"/>
    </refsect2>
  </xsl:template>

  <!-- 'The Start() method', 'The "State" property' -->
  <xsl:template match="refsect2" mode="name">
    <xsl:value-of select="translate(substring-before(substring-after(title, 'The '), ' '), '&quot;', '')"/>
  </xsl:template>

  <xsl:template match="link"><xsl:apply-templates/></xsl:template>
  <xsl:template match="indexterm"/>
  <xsl:template match="refsect2/@id | refsect2/@role | variablelist/@role"/>
  <xsl:template match="para[not(normalize-space())]"/>

  <!-- gdbus-codegen begins and ends a listing with an empty line. -->
  <xsl:template match="programlisting/text()[1][starts-with(., '&#10;')]">
    <xsl:value-of select="substring(., 2)"/>
  </xsl:template>
</xsl:stylesheet>
